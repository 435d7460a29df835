"""explain names who was killed for memory, and who burnt the CPU, on a kernel with all controllers."""

from typing import Any

from tests.support.guest.machine import daemon, sampled
from tests.support.guest.paas import Paas
from tests.support.guest.people import HOG, Sell, Specs
from tests.support.waiting import wait_for


def finding(paas: Paas, kind: str) -> dict[str, Any]:
    """Wait for an incident of this kind that has a picture."""

    def pictured() -> dict[str, Any] | None:
        found = paas("explain", "alice", "--json", code=None)
        findings = found.json["findings"] if found.code == 0 else []
        those = (each for each in findings if each["kind"] == kind)
        return next((each for each in those if "no picture" not in " ".join(each["sentences"])), None)

    return wait_for(pictured, what=f"explain tells of {kind}", deadline=90)


def test_a_memory_hog_and_a_cpu_burner_are_named(spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config(metering={"every": "1s"})
    alice = sell("alice", limits={"memory": "64M", "cpu": "30%"}, services={"web": {"limits": {"memory": "unlimited"}}})
    with daemon(accounts=1):
        sampled()
        hog = alice.python(HOG, "users/alice/web")
        assert hog.wait(60) == -9
        killed = finding(paas, "killed")
        busy = alice.burns("users/alice/web")
        throttled = finding(paas, "throttled")
        assert busy.poll() is None
    assert (killed["level"], killed["limit"]) == ("account", str(64 << 20))
    assert "it needed more memory than its 64M; " in killed["sentences"][0]
    assert any(sentence.startswith("Killed: ") and f"(pid {hog.pid}, " in sentence for sentence in killed["sentences"])
    assert (throttled["level"], throttled["limit"]) == ("account", "30000 100000")
    assert "it used all of its 30 % CPU; " in throttled["sentences"][0]
    assert any(sentence.startswith("Its processes at ") for sentence in throttled["sentences"])
