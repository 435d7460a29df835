"""What the doctor says of the page. systemctl only answers what a test has for it."""

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.doctor import page
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.page import Owned
from paas_isolate.linux.network import sockets
from paas_isolate.linux.system import schedule, systemd

SELF = pwd.getpwuid(os.geteuid()).pw_name
RUNS = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "MainPID": str(os.getpid()),
}
Units = dict[str, dict[str, str]]


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Units:
    """Unit -> its properties. All of the page's run."""
    made = {name: dict(RUNS) for name in (*schedule.PAGE_UNITS, "paas-isolate-daemon.service")}

    def properties(unit: str, *names: str) -> dict[str, str]:
        return {name: value for name, value in made.get(unit, {"LoadState": "not-found"}).items() if name in names}

    monkeypatch.setattr(systemd, "running", lambda: True)
    monkeypatch.setattr(systemd, "properties", properties)
    monkeypatch.setattr(page, "_STACK", str(tmp_path / "stack"))
    monkeypatch.setattr(page, "_LOGIN_SOCKET", str(tmp_path / "socket"))
    return made


@pytest.fixture
def port() -> Iterator[int]:
    """This process listens on it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def examined(state: Path) -> dict[str, Check]:
    return {check.name: check for check in page.examine(str(state))}


def test_nothing_is_said_where_the_page_is_not_installed(units: Units, tmp_path: Path) -> None:
    units.clear()
    assert examined(tmp_path) == {}


def test_a_page_that_is_installed_alone(units: Units, tmp_path: Path) -> None:
    for name in schedule.PAGE_UNITS:
        units[name] |= {"UnitFileState": "disabled", "ActiveState": "inactive"}
    found = examined(tmp_path)
    assert found["paas-isolate-web.service"] == Check(
        "paas-isolate-web.service", Verdict.SKIPPED, "installed, and not enabled", "paas-isolate enable web"
    )
    assert "login socket" not in found


def test_it_says_where_the_page_listens(units: Units, port: int, tmp_path: Path) -> None:
    found = examined(tmp_path)["paas-isolate-web.service"]
    assert found.verdict is Verdict.OK
    assert f"port {port} of 127.0.0.1" in found.found


def test_a_page_that_has_failed(units: Units, tmp_path: Path) -> None:
    units["paas-isolate-web.service"]["ActiveState"] = "failed"
    found = examined(tmp_path)["paas-isolate-web.service"]
    assert (found.verdict, found.found) == (Verdict.FAILED, "failed")
    assert "systemctl restart paas-isolate-web.service" in found.mend


def test_a_page_without_a_daemon(units: Units, tmp_path: Path) -> None:
    units["paas-isolate-daemon.service"]["ActiveState"] = "inactive"
    found = examined(tmp_path)["page's daemon"]
    assert (found.verdict, found.mend) == (Verdict.FAILED, "paas-isolate enable daemon")


def test_unix_sockets_are_places_too(tmp_path: Path) -> None:
    path = str(tmp_path / "page.sock")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as other:
        listening.bind(path)
        listening.listen()
        other.bind(f"{path}.other")
        found = sockets.places(os.getpid())
    assert path in found
    assert f"{path}.other" not in found


def test_a_line_end_in_the_path_of_a_strangers_socket_is_no_line(tmp_path: Path) -> None:
    path = str(tmp_path / "page.sock")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "a\nb c"))
        listening.bind(path)
        listening.listen()
        assert path in sockets.places(os.getpid())


@pytest.mark.parametrize("mode", [0o660, 0o666, 0o600])
def test_who_can_reach_the_login_helper(mode: int, tmp_path: Path) -> None:
    path = str(tmp_path / "session.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, mode)
        group = page._group(os.lstat(path).st_gid)
        found = page.login_socket(path, Owned(SELF, group, 0o660))
    assert found.verdict is (Verdict.OK if mode == 0o660 else Verdict.FAILED)
    assert f"{SELF}:{group} {mode:04o}" in found.found


def test_a_login_socket_of_another_group(tmp_path: Path) -> None:
    path = str(tmp_path / "session.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o660)
        found = page.login_socket(path, Owned(SELF, "paas-isolate-web", 0o660))
    assert found.verdict is Verdict.FAILED
    assert f"should be {SELF}:paas-isolate-web 0660" in found.found


def test_a_login_socket_that_is_missing_or_none(tmp_path: Path) -> None:
    wanted = Owned("root", "paas-isolate-web", 0o660)
    assert page.login_socket(str(tmp_path / "none"), wanted).verdict is Verdict.FAILED
    (tmp_path / "file").touch()
    assert "is no socket" in page.login_socket(str(tmp_path / "file"), wanted).found


@pytest.mark.skipif(os.geteuid() != 0, reason="the files must be root's")
def test_the_stack_and_the_tokens(tmp_path: Path) -> None:
    stack, tokens = tmp_path / "stack", tmp_path / "tokens.json"
    assert "force-confmiss" in page.login_stack(str(stack)).mend
    assert list(page.tokens_file(str(tokens))) == []
    for path in (stack, tokens):
        path.touch()
        path.chmod(0o600)
    assert page.login_stack(str(stack)).verdict is Verdict.OK
    assert [check.verdict for check in page.tokens_file(str(tokens))] == [Verdict.OK]
    stack.chmod(0o666)
    tokens.chmod(0o640)
    assert page.login_stack(str(stack)).verdict is Verdict.FAILED
    (wide,) = page.tokens_file(str(tokens))
    assert (wide.verdict, f"chmod 600 {tokens}" in wide.mend) == (Verdict.FAILED, True)
