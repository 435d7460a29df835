"""The parts of the demonstration that can be tested without a machine."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from demonstration import examples, fitness, picture, plan
from demonstration.facts import DemonstrationError, Fact, Readings, milliseconds, share, size, summary
from demonstration.pulse import Pulse
from demonstration.scenarios import Scenario, passes, reboot, services, views
from demonstration.show import Show, lines
from demonstration.target import Answer, Target

SOURCE = Path(__file__).resolve().parents[2]

# Debian 13 (systemd); and a machine whose controllers are bound to v1.
UNIFIED = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""

TREE = """\
users cpu.max max 100000
users memory.max 3221225472
users/alice cpu.max 100000 100000
users/alice pids.max 100
users/alice/login pids.max max
users/alice/other pids.max 68
users/bob memory.max 1073741824
users/bob/web memory.max 214745088
"""


class FakeTarget(Target):
    """A target on which nothing happens."""

    tree, etc, lock, paas = "/tree", "/etc/paas", "/run/lock", ("paas-isolate", "--etc", "/a b")

    def __init__(self, answer: Answer | None = None) -> None:
        self.names = {"alice": "try1-alice", "bob": "try1-bob"}
        self.ports = {"bob": 8102}
        self.answer = answer or Answer(0, "", "", 0)
        self.heard: list[str] = []

    def execute(self, script: str, *, patience: float) -> Answer:
        self.heard.append(script)
        return self.answer

    def install(self) -> str:
        return "installed"

    def hold_schedule(self) -> None:
        pass

    def add_users(self, users: list[str]) -> None:
        pass

    def reboot(self) -> float:
        return 1.0


def test_readings_are_the_lines_that_tell_one() -> None:
    readings = Readings.of("hello\nstatus=137\nwords=another run is at work: a=b\nset memory.max = 5\n")
    assert readings.number("status") == 137
    assert readings.text("words") == "another run is at work: a=b"
    with pytest.raises(DemonstrationError, match="printed no peak"):
        readings.number("peak")
    with pytest.raises(DemonstrationError, match="expected a number"):
        readings.number("words")


def test_a_summary_counts() -> None:
    good, bad = Fact("a", True, "x"), Fact("b", False, "y")
    assert summary([good, good]) == "2 facts, 2 ok"
    assert summary([good, bad]) == "2 facts, 1 ok, 1 failed"


@pytest.mark.parametrize(
    ("number", "said"),
    [(214745088, "204.8M"), (1 << 30, "1G"), (402653184, "384M"), (3 << 29, "1.5G"), (4096, "4K"), (12, "12B")],
)
def test_a_size_is_written_as_the_product_does(number: int, said: str) -> None:
    assert size(number) == said


def test_a_share_is_percent_of_a_core() -> None:
    assert share(1_250_000, 5_000_000) == 25
    assert share(1, 0) == 0


def test_a_fact_is_one_line_and_a_failure_says_why() -> None:
    assert lines(Fact("memory", True, "killed at 1G", "x", "y")) == ["ok      memory: killed at 1G"]
    assert lines(Fact("memory", False, "not killed", "killed", "status=0\n")) == [
        "failed  memory: not killed",
        "          expected: killed",
        "          the last lines of output:",
        "            status=0",
    ]


def test_the_tree_is_drawn_with_its_limits() -> None:
    assert list(picture.draw(picture.knobs_of(TREE))) == [
        "users/                      3G",
        "├─ alice                    1 core, 100 processes",
        "│  ├─ login",
        "│  └─ other                 68 processes",
        "└─ bob                      1G",
        "   └─ web                   204.8M",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max 100000", ""),
        ("25000 100000", "25% of a core"),
        ("100000 100000", "1 core"),
        ("150000 100000", "1.5 cores"),
    ],
)
def test_cpu_is_told_in_cores(text: str, said: str) -> None:
    assert picture.limits({"cpu.max": text}) == said


def test_whole_words_are_renamed() -> None:
    names = {"intranet": "try1-intranet", "alice": "try1-alice"}
    text = "account: intranet\nusers: [intranet, intranet-dev]  # not alices, my-alice\nx: alice\n"
    assert examples.renamed(text, names) == (
        "account: try1-intranet\nusers: [try1-intranet, try1-intranet-dev]  # not alices, my-alice\nx: try1-alice\n"
    )


def test_the_users_of_an_account() -> None:
    assert examples.users("account: intranet\nusers: [intranet, 'intranet-dev']\n") == ["intranet", "intranet-dev"]
    assert examples.users("# account: x\naccount: alice\n") == ["alice"]


def test_the_examples_are_those_of_config_and_carol() -> None:
    texts = examples.accounts()
    assert {"alice", "bob", "carol", "intranet"} <= texts.keys()
    assert {"alice", "intranet-dev"} <= set(examples.all_users(texts))
    assert passes.changed(texts["carol"], "max: 256M", "max: 384M") != texts["carol"]
    with pytest.raises(DemonstrationError):
        passes.changed(texts["carol"], "max: 1T", "")


def test_cgroup2_is_found_wherever_it_is_mounted() -> None:
    assert fitness.cgroup2_mount(UNIFIED) == Path("/sys/fs/cgroup")
    assert fitness.cgroup2_mount(HYBRID) == Path("/sys/fs/cgroup/unified")
    assert fitness.cgroup2_mount("21 20 0:19 / /proc rw - proc proc rw") is None


def test_what_controllers_a_machine_lacks() -> None:
    assert fitness.missing_controllers("cpuset cpu io memory hugetlb pids rdma misc\n") == []
    assert fitness.missing_controllers("cpu pids\n") == ["cpuset", "io", "memory"]


def test_a_script_knows_names_ports_and_the_product() -> None:
    target = FakeTarget()
    target.run('tell all "$alice $bob_port $TREE" ; tell words "${#PAAS[@]}"; tell etc "${PAAS[2]}"')
    done = subprocess.run(["bash", "-c", target.heard[0]], capture_output=True, text=True)
    readings = Readings.of(done.stdout)
    assert readings.text("all") == "try1-alice 8102 /tree"
    assert (readings.number("words"), readings.text("etc")) == (3, "/a b")


def test_a_script_that_fails_is_no_measurement() -> None:
    with pytest.raises(DemonstrationError, match="status 3") as error:
        FakeTarget(Answer(3, "a=1\n", "oh", 0)).measure("exit 3")
    assert error.value.output == "a=1\noh"
    with pytest.raises(DemonstrationError, match="longer than 5 s"):
        FakeTarget(Answer(124, "", "", 0)).measure("sleep 9", patience=5)


def test_a_script_saves_files_when_it_says_so(tmp_path: Path) -> None:
    target = FakeTarget()
    target.etc = str(tmp_path)
    (tmp_path / "accounts.d").mkdir()
    text = "account: try1-alice\n" + views.PRIVATE + services.SERVICES
    target.run(target.saves({"alice": text}) + 'ls "$ETC/accounts.d"; save')
    done = subprocess.run(["bash", "-c", target.heard[0]], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "accounts.d/try1-alice.yaml").read_text() == text


def test_a_script_looks_until_it_is_so_and_no_longer() -> None:
    target = FakeTarget()
    target.run(
        "third() { ((++looked == 3)); }; at_once 60 third; tell found $?; tell looked $looked\n"
        "at_once 0 false; tell not_found $?"
    )
    done = subprocess.run(["bash", "-c", target.heard[0]], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("found=0\nlooked=3\nnot_found=1\n", "")


@pytest.mark.parametrize(("passed", "said"), [(3780, "3.8 ms"), (119_700, "120 ms"), (1_006_000, "1006 ms")])
def test_how_long_it_took_is_told_in_milliseconds(passed: int, said: str) -> None:
    assert milliseconds(passed) == said


def test_a_broken_act_is_a_failed_fact_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(target: Target):  # type: ignore[no-untyped-def]
        yield Fact("first", True, "well")
        raise DemonstrationError("lost", output="last words")

    def sound(target: Target):  # type: ignore[no-untyped-def]
        yield "a picture"
        yield Fact("second", True, "well too")

    monkeypatch.setattr(
        plan, "SCENARIOS", (Scenario("One", broken), Scenario("Two", sound), Scenario("Three", sound, True))
    )
    show = Show()
    plan.play(FakeTarget(), show, alone=False)
    assert [(fact.name, fact.ok) for fact in show.facts] == [
        ("first", True),
        ("not measured", False),
        ("second", True),
    ]
    assert not show.all_ok
    assert "last words" in capsys.readouterr().out
    monkeypatch.setattr(plan, "SCENARIOS", (Scenario("One", broken, all_stand_on_it=True), Scenario("Two", sound)))
    plan.play(FakeTarget(), show, alone=False)
    assert show.facts[-1].name == "the rest"


def test_json_has_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show(as_json=True)
    show.begin("A typo")
    show.fact(Fact("kept", True, "alice keeps 1G"))
    show.end("", seconds=1)
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    assert shown["facts"][0] == {
        "act": "A typo",
        "name": "kept",
        "ok": True,
        "said": "alice keeps 1G",
        "expected": "",
        "output": "",
    }


def test_the_line_about_a_knob() -> None:
    words = "done     set pids.max of users/bob to 200 (was max)\n1 change made\n"
    assert passes.sentence_about(words, "pids.max") == "done set pids.max of users/bob to 200 (was max)"
    assert passes.sentence_about("nothing to do", "pids.max") == "says nothing of it"


def test_the_command_line_says_how() -> None:
    done = subprocess.run([str(SOURCE / "scripts/try"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--here" in done.stdout
    assert "Exit status" in done.stdout


def test_a_long_stage_gives_a_sign_of_life() -> None:
    progress: list[str] = []
    with Pulse(progress.append, every=0.02) as pulse:
        pulse.say("mmdebstrap ...")
        time.sleep(0.1)  # some signs of life
        pulse.say("mmdebstrap: 0.1 s")
        number = len(progress)
        time.sleep(0.06)  # long enough for what must not come
    assert progress[0] == "mmdebstrap ..."
    assert progress[1].startswith("mmdebstrap ... ")
    assert len(progress) == number


def test_a_tree_is_back_when_only_the_machine_has_some_pages_fewer() -> None:
    before = {"users": {"memory.max": "3120562176", "cpu.max": "max 100000"}, "users/bob": {"memory.max": "1073741824"}}
    users = {"memory.max": "3120553984", "cpu.max": "max 100000"}
    assert list(reboot.differing(before, {**before, "users": users})) == []
    assert list(reboot.differing(before, {**before, "users": {**users, "memory.max": "max"}})) == ["users"]
    assert list(reboot.differing(before, {"users": users, "users/bob": {"memory.max": "1073737728"}})) == ["users/bob"]
    assert list(reboot.differing(before, {"users": users})) == ["users/bob"]
