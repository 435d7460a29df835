"""What cannot be measured here, as the doctor says it."""

from pathlib import Path

import pytest

from paas_isolate.doctor import metering
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.system import systemd
from paas_isolate.model.account import Fleet, Host, Tree
from tests.support.fleets import fleet, sold


def test_nothing_is_said_where_metering_is_off() -> None:
    assert list(metering.examine(Fleet(Host(), {}))) == []


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        ("cpuset cpu io memory pids", []),
        ("cpu pids", ["memory", "io"]),
        ("", ["cpu", "memory", "io", "pids"]),
    ],
)
def test_each_missing_controller_with_its_figures(enabled: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text(f"{enabled}\n")
    found = list(metering.controllers(str(tmp_path)))
    assert [check.found.split()[1] for check in found] == expected
    assert all(check.verdict == Verdict.WARNING and "; not measured: " in check.found for check in found)


def test_before_there_are_accounts_no_controller_is_missing(tmp_path: Path) -> None:
    assert list(metering.controllers(str(tmp_path))) == []


def test_a_kernel_without_pressure(tmp_path: Path) -> None:
    (missing,) = metering.pressure(str(tmp_path))
    assert missing.mend == "add psi=1 to the kernel's command line, and reboot"
    (tmp_path / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    assert list(metering.pressure(str(tmp_path))) == []


def test_homes_without_a_disk_are_counted_by_reason() -> None:
    def device_of(path: str) -> str:
        if path == "/home/carol":
            return "8:0"
        raise HostError(f"{path} lies on zfs at /home, which has no disk of this machine below it")

    of = fleet(sold("alice"), sold("bob"), sold("carol"))
    assert list(metering.disks(of, device_of)) == [
        Check(
            "metering",
            Verdict.WARNING,
            "/home/alice lies on zfs at /home, which has no disk of this machine below it; "
            "not measured: bytes read and written by 2 accounts",
        )
    ]


def test_a_scheduler_of_somebody_else(tmp_path: Path) -> None:
    assert list(metering.scheduler(str(tmp_path))) == []
    (tmp_path / "state").write_text("disabled\n")
    assert list(metering.scheduler(str(tmp_path))) == []
    (tmp_path / "state").write_text("enabled\n")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/ops").write_text("rusty_1.0\n")
    (found,) = metering.scheduler(str(tmp_path))
    assert found.found.startswith("rusty_1.0 (sched_ext) schedules tasks")


@pytest.mark.parametrize(
    ("active", "slice_", "expected"),
    [
        ("active", "kill", ["systemd-oomd kills in paas.slice; not counted: what it kills"]),
        ("inactive", "kill", []),
        ("active", "auto", []),
    ],
)
def test_systemd_oomd(active: str, slice_: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def properties(unit: str, *names: str) -> dict[str, str]:
        if unit == "systemd-oomd.service":
            return {"ActiveState": active}
        return dict.fromkeys(names, slice_ if unit == "paas.slice" else "auto")

    monkeypatch.setattr(systemd, "running", lambda: True)
    monkeypatch.setattr(systemd, "properties", properties)
    assert [check.found for check in metering.killer(Tree())] == expected
    assert list(metering.killer(Tree(root="/sys/fs/cgroup/paas"))) == []
