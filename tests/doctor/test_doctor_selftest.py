"""What the selftest concludes of the kernel's counters; the kernel itself is in tests/kernel/doctor."""

import re
from typing import cast

import pytest

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest import limits
from paas_isolate.doctor.selftest.scratch import Scratch
from paas_isolate.model.knobs import DEFAULTS

# memory.events of Linux 6.12, of a leaf in which a process was killed at memory.max
KILLED = "low 0\nhigh 0\nmax 14\noom 1\noom_kill 1\noom_group_kill 0\n"
HIGH = "low 0\nhigh 231\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"
QUIET = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"
THROTTLED = (
    "usage_usec 60021\nuser_usec 60021\nsystem_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 6\nnr_throttled 5\n"
    "throttled_usec 440112\nnr_bursts 0\nburst_usec 0\n"
)


class Leaf:
    """A leaf with these files. What is written is read back, unless `deaf` names the file."""

    def __init__(self, files: dict[str, str], answer: object, deaf: str = "") -> None:
        self.texts, self.answer, self.deaf = dict(files), answer, deaf
        self.cgroups = self

    def leaf(self, name: str) -> str:
        return f"selftest/{name}"

    def files(self, path: str) -> set[str]:
        return set(self.texts)

    def read(self, path: str, knob: str) -> str | None:
        return self.texts.get(knob)

    def write(self, path: str, knob: str, text: str) -> None:
        if knob not in self.texts:
            raise FileNotFoundError(2, "No such file or directory")
        if knob != self.deaf:
            self.texts[knob] = text

    def inside(self, path: str, work: object, *, patience: float = 0) -> object:
        return self.answer


def tried(knob: str, answer: object, deaf: str = "", **files: str) -> Check:
    trial = next(trial for trial in limits._TRIALS if trial.knob == knob)
    there = {knob: "", **{name.replace("_", ".", 1): text for name, text in files.items()}}
    return limits._checked(cast(Scratch, Leaf(there, answer, deaf)), trial)


@pytest.mark.parametrize(
    ("knob", "answer", "files", "found"),
    [
        ("memory.max", None, {"memory_events": KILLED}, "a process that took 64 MiB was killed at 16 MiB"),
        ("memory.high", None, {"memory_events": HIGH}, "a process was throttled above 16 MiB 231 times"),
        ("pids.max", 5, {"pids_events": "max 1\n"}, "fork was refused after 5 of 5 processes"),
        (
            "cpu.max",
            0.06,
            {"cpu_stat": THROTTLED},
            "a busy process had 0.06 s of CPU in 0.5 s at 10 %, throttled 5 times",
        ),
        ("cpuset.cpus", [7], {"cpuset_cpus.effective": "0-3,7"}, "a process may run on CPU [7]; written was 7"),
        ("cpu.weight", None, {}, "reads as written (50)"),
    ],
)
def test_a_limit_that_holds(knob: str, answer: object, files: dict[str, str], found: str) -> None:
    assert tried(knob, answer, **files) == Check(knob, Verdict.OK, found)


@pytest.mark.parametrize(
    ("knob", "answer", "files"),
    [
        ("memory.max", "all", {"memory_events": QUIET}),
        ("memory.high", "all", {"memory_events": QUIET}),
        ("pids.max", 20, {"pids_events": "max 0\n"}),
        ("pids.max", 9, {"pids_events": "max 1\n"}),
        ("cpu.max", 0.49, {"cpu_stat": THROTTLED}),
        ("cpu.max", 0.06, {"cpu_stat": THROTTLED.replace("nr_throttled 5", "nr_throttled 0")}),
        ("cpu.max", None, {"cpu_stat": THROTTLED}),
        ("cpuset.cpus", [0, 1], {"cpuset_cpus.effective": "0-1"}),
    ],
)
def test_a_limit_that_does_not_hold(knob: str, answer: object, files: dict[str, str]) -> None:
    assert tried(knob, answer, **files).verdict is Verdict.FAILED


def test_a_limit_that_reads_otherwise_than_written() -> None:
    assert tried("cpu.weight", None, deaf="cpu.weight") == Check(
        "cpu.weight", Verdict.FAILED, "reads ''; written was '50'"
    )


def test_what_the_kernel_refuses_is_said() -> None:
    check = tried("memory.oom.group", None)  # there is no memory.max
    assert (check.verdict, check.found) == (Verdict.FAILED, "No such file or directory")


def test_a_file_that_is_missing_fails_where_nobody_could_be_confined_without_it() -> None:
    verdicts = {trial.knob: limits._checked(cast(Scratch, Leaf({}, None)), trial).verdict for trial in limits._TRIALS}
    failed = {knob for knob, verdict in verdicts.items() if verdict is Verdict.FAILED}
    assert failed == {"memory.max", "pids.max", "cpu.max", "cgroup.freeze", "cgroup.kill"}
    assert {*verdicts.values()} == {Verdict.FAILED, Verdict.SKIPPED}


def test_every_knob_that_we_manage_is_tried() -> None:
    assert {trial.knob for trial in limits._TRIALS} == (DEFAULTS.keys() | {"cgroup.kill"}) - {"io.max"}


@pytest.mark.parametrize("trial", [trial for trial in limits._TRIALS if trial.text], ids=lambda trial: trial.knob)
def test_what_is_written_is_not_the_default(trial: limits.Trial) -> None:
    assert trial.knob == "cpu.max.burst" or DEFAULTS[trial.knob] != trial.text
    assert re.fullmatch(r"(default )?\d+", trial.text)
