"""What doctor says of ways around the rules of the network and around quotas."""

from pathlib import Path

import pytest

from paas_isolate.doctor import modules, subuids
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.modules import Kernel, check
from paas_isolate.model.account import Host, NetworkConfig
from tests.support.fleets import fleet, sold

DEBIAN = {  # aliases of Debian's cloud kernels 6.1.0-53 and 6.12.115
    "net-pf-2-proto-115-type-2": "l2tp_ip",
    "net-pf-10-proto-115": "l2tp_ip6",
    "net-pf-2-proto-132": "sctp",
    "net-pf-2-proto-256-type-1": "smc",
    "net-pf-38": "af_alg",
    "net-pf-40": "vsock_loopback",
    "net-pf-43": "smc",
}


def named(found: Check) -> list[str]:
    return [line.partition(":")[0] for line in found.found.splitlines()[1:]]


def test_modules_that_anybody_can_load_are_named_with_the_lines_that_forbid_them() -> None:
    found = check(Kernel(DEBIAN, frozenset(), frozenset({"TCP"})))
    assert found.verdict is Verdict.WARNING
    assert named(found) == ["smc", "sctp", "l2tp_ip", "l2tp_ip6", "vsock"]
    assert found.mend == f"printf 'install %s /bin/false\\n' {' '.join(named(found))} >> {modules.CONF}"
    gated = check(Kernel(DEBIAN, frozenset(), frozenset({"SCTP", "SMC"}), has_gate=True))
    assert named(gated) == ["vsock"]
    assert "remove" not in gated.mend


def test_what_is_forbidden_or_cannot_be_loaded_is_no_gap() -> None:
    every = frozenset(each.module for each in modules.PROTOCOLS)
    assert check(Kernel(DEBIAN, every, frozenset())).verdict is Verdict.OK
    assert check(Kernel(DEBIAN, frozenset(), frozenset(), loads=False)).verdict is Verdict.OK
    assert check(Kernel({"net-pf-38": "af_alg"}, frozenset(), frozenset())).verdict is Verdict.OK


def test_what_is_there_already_is_a_gap_though_it_is_forbidden() -> None:
    found = check(Kernel(DEBIAN, frozenset(DEBIAN.values()) | {"vsock"}, frozenset({"SCTP", "TIPC"})))
    assert named(found) == ["sctp (is there now)", "tipc (is there now)"]
    assert found.mend.startswith("printf 'install %s /bin/false\\n' tipc >> ")
    assert found.mend.endswith("; modprobe --remove sctp tipc (or reboot)")


@pytest.mark.parametrize(
    "text", ["install smc /bin/false", "  install smc\t/usr/bin/true ", "x\ninstall smc /bin/false\n"]
)
def test_what_forbids_a_module(text: str) -> None:
    assert modules._INSTALL.findall(text) == ["smc"]


@pytest.mark.parametrize("text", ["blacklist smc", "#install smc /bin/false", "install smc /sbin/modprobe -i smc"])
def test_what_does_not(text: str) -> None:
    assert modules._INSTALL.findall(text) == []


def test_nothing_of_modules_without_a_network() -> None:
    assert not list(modules.examine(fleet(sold("alice"))))
    assert len(list(modules.examine(fleet(sold("alice"), host=Host(network=NetworkConfig()))))) == 1


@pytest.mark.parametrize("line", ["alice:100000:65536\n", "1001:100000:65536\n"])
def test_customers_with_subordinate_uids(tmp_path: Path, line: str) -> None:
    path = tmp_path / "subuid"
    path.write_text("root:1:1\n" + line)
    network = Host(network=NetworkConfig())
    (found,) = subuids.examine(fleet(sold("alice", uid=1001, disk={"max": 1})), str(path))
    assert found.verdict is Verdict.WARNING
    assert found.found.startswith("alice can change to other uids") and "no quota" in found.found
    (found,) = subuids.examine(fleet(sold("alice", uid=1001), host=network), str(path))
    assert found.verdict is Verdict.OK and "quota" not in found.found
    (found,) = subuids.examine(fleet(sold("bob", uid=1002), host=network), str(path))
    assert found.found == "no customer has any"
    assert not list(subuids.examine(fleet(sold("alice", uid=1001)), str(path)))
    assert list(subuids.examine(fleet(sold("alice"), host=network), str(tmp_path / "missing")))
