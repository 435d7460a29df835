"""enable and disable: which of the three ways runs reconcile. systemctl only notes what it is told here."""

import shutil
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.system import schedule, systemd
from paas_isolate.linux.system.schedule import Way


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    words: list[str] = []

    def systemctl(*line: str) -> str:
        words.append(" ".join(line))
        return "UnitFileState=enabled" if "paas-isolate.timer" in line and line[0] == "show" else ""

    monkeypatch.setattr(systemd, "_systemctl", systemctl)
    monkeypatch.setattr(systemd, "running", lambda: True)
    monkeypatch.setattr(schedule, "CRON_FILE", str(tmp_path / "cron.d"))
    (tmp_path / "cron.d").touch()
    (tmp_path / "crond").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return words


ALWAYS = "paas-tree.service paas-isolate-network.service paas-isolate-boot.service paas-isolate-shutdown.service"


def test_the_timer_comes_with_the_units_of_the_boot_and_replaces_cron(told: list[str], tmp_path: Path) -> None:
    (tmp_path / "cron").touch()
    schedule.enable(Way.TIMER, str(tmp_path))
    assert told == [
        f"--quiet enable {ALWAYS} paas-isolate.timer",
        "start paas-tree.service paas-isolate-shutdown.service paas-isolate.timer",
    ]
    assert not schedule.cron_is_on(str(tmp_path))


def test_cron_replaces_the_timer(told: list[str], tmp_path: Path) -> None:
    schedule.enable(Way.CRON, str(tmp_path))
    assert told[-1] == "--quiet disable --now paas-isolate.timer"
    assert schedule.cron_is_on(str(tmp_path))


def test_the_daemon_goes_beside_the_others(told: list[str], tmp_path: Path) -> None:
    schedule.enable(Way.CRON, str(tmp_path))
    schedule.enable(Way.DAEMON, str(tmp_path))
    assert told[-1].endswith("paas-isolate-daemon.service")
    assert schedule.enabled(str(tmp_path)) == {Way.TIMER: True, Way.CRON: True, Way.DAEMON: False}


def test_disabling_stops_what_runs(told: list[str], tmp_path: Path) -> None:
    schedule.disable(Way.DAEMON, str(tmp_path))
    assert told == ["--quiet disable --now paas-isolate-daemon.service"]
    (tmp_path / "cron").touch()
    schedule.disable(Way.CRON, str(tmp_path))
    schedule.disable(Way.CRON, str(tmp_path))
    assert not schedule.cron_is_on(str(tmp_path))


def test_the_page_is_its_socket_and_its_service(told: list[str]) -> None:
    with pytest.raises(HostError, match="apt-get install paas-isolate-web"):
        schedule.enable_page()
    told.clear()
    schedule.disable_page()
    assert [line for line in told if not line.startswith("show")] == []


def test_without_systemd_there_is_cron_alone(told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "running", lambda: False)
    with pytest.raises(HostError, match="paas-isolate enable cron"):
        schedule.enable(Way.TIMER, str(tmp_path))
    schedule.enable(Way.CRON, str(tmp_path))
    assert told == []
    assert schedule.enabled(str(tmp_path)) == {Way.TIMER: False, Way.CRON: True, Way.DAEMON: False}


def test_where_no_cron_is_installed_it_says_so(
    told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(HostError, match="apt-get install cron"):
        schedule.enable(Way.CRON, str(tmp_path))
    assert not schedule.cron_is_on(str(tmp_path))
