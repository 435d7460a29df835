"""The page at work: PAM, the login helper, the daemon and the page's own process, each in its unit."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.guest.machine import ETC, cgroup_of, daemon, knob, pids_in, pids_of, run, systemctl, uids_of
from tests.support.guest.paas import Paas
from tests.support.guest.page import Browser
from tests.support.guest.people import Customer, Customers, Specs
from tests.support.waiting import wait_for

WEB, SOCKET = "paas-isolate-web.service", "paas-isolate-session.socket"
PASSWORD = "correct horse battery"
PROBES = Path("/run/systemd/system/paas-isolate-web.service.d")


class Site:
    """alice and bob have accounts, alice's runs a service; chief administers; gone's password has expired."""

    def __init__(self, spec: Specs, people: Customers) -> None:
        self.spec = spec
        web = {"run": "exec sleep 1000", "limits": {"memory": {"kill": "process"}}}
        self.alice: Customer = spec.sell("alice", services={"web": web})
        self.bob: Customer = spec.sell("bob")
        spec.sell("gone")
        self.chief = people("chief", "--system", "--create-home")
        names = ("alice", "bob", "gone", "chief")
        run("chpasswd", stdin="".join(f"{name}:{PASSWORD}\n" for name in names))
        run("chage", "-E", "1", "gone")
        spec.config(administrators=["chief"], metering={"every": "1s"})

    def browser(self, user: str) -> Browser:
        browser = Browser()
        answer = browser.log_in(user, PASSWORD)
        assert answer.status == 200, answer.text
        return browser


@pytest.fixture(scope="module")
def site(scene: tuple[Specs, Paas], people: Customers) -> Iterator[Site]:
    spec, paas = scene
    made = Site(spec, people)
    paas("reconcile")
    with daemon(accounts=3):
        run("systemctl", "start", SOCKET, WEB)
        try:
            wait_for(_serves, what=lambda: run("journalctl", "-u", WEB, "--no-pager"), deadline=90)
            yield made
        finally:
            run("systemctl", "stop", SOCKET, WEB)
            run("chage", "-E", "-1", "gone")


def _serves() -> bool:
    try:
        return Browser().get("/login").status == 200
    except OSError:
        return False


def main_pid() -> int:
    return int(systemctl("show", "--property=MainPID", "--value", WEB))


def service_pids() -> set[int]:
    """The service's, with its supervisor."""
    return set(wait_for(lambda: pids_in("users/alice/web"), what="the service runs"))


def test_a_customer_logs_in_and_sees_the_own_account_alone(site: Site) -> None:
    alice = Browser()
    answer = alice.log_in("alice", PASSWORD)
    assert (answer.status, answer.path) == (200, "/accounts/alice")
    assert "alice" in answer.text
    assert alice.get("/v1/who").json["account"] == "alice"
    assert [each["name"] for each in alice.get("/v1/accounts/alice").json["cgroups"]][:2] == ["alice", "web"]
    for path in ("/accounts/bob", "/v1/accounts/bob", "/v1/accounts/bob/explain"):
        assert alice.get(path).status == 404, path
    assert alice.get("/v1/accounts").status == 403
    assert alice.get("/host").status == 404


def test_nothing_of_a_login_stands_outside_its_account(site: Site) -> None:
    """The daemon sees the customer's uid, and no process has it."""
    browser = site.browser("alice")
    browser.get("/accounts/alice")
    helpers = [int(pid) for pid in run("pgrep", "-f", "paas_isolate.login").split()]
    assert helpers
    assert {uid for pid in helpers for uid in uids_of(pid)}.isdisjoint({0, site.alice.uid})
    assert [pid for pid in pids_of(site.alice.uid) if not cgroup_of(pid).startswith("users/alice")] == []


def test_a_wrong_password_and_an_unknown_user_are_told_the_same(site: Site) -> None:
    told = []
    for user in ("alice", "nobody-there"):
        begun = time.monotonic()
        answer = Browser().log_in(user, "wrong")
        assert time.monotonic() - begun >= 2
        told.append((answer.status, re.sub(user, "", answer.text)))
    assert told[0] == told[1]
    assert told[0][0] == 403
    events = site.browser("chief").get("/events").text
    assert "a login of alice from 127.0.0.1 was refused: wrong password" in events
    assert "a login from 127.0.0.1 was refused: there is no such user" in events
    assert "nobody-there" not in events, "it may have been a password"


def test_who_may_not_log_in(site: Site) -> None:
    """At the same time: each waits for PAM."""
    users = ["gone", "root", "-l", "alice\n", ""]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda user: Browser().log_in(user, PASSWORD).status, users))
    assert answers == [403] * len(users)


def test_a_customer_restarts_a_service(site: Site) -> None:
    before = service_pids()
    answer = site.browser("alice").submit("/accounts/alice/services/web/restart", "/accounts/alice")
    assert answer.status == 200
    wait_for(lambda: before.isdisjoint(service_pids()), what="another one runs", deadline=60)
    # Who asked, and from where, is in the log.
    log = run("journalctl", "-u", "paas-isolate-daemon", "--no-pager", "-o", "cat")
    assert f"restart of alice/web was ordered by uid {site.alice.uid} from 127.0.0.1" in log


def test_who_has_logged_out_is_out(site: Site) -> None:
    browser = site.browser("alice")
    (cookie,) = browser.cookies
    assert browser.submit("/logout", "/accounts/alice").path == "/login"
    browser.cookies.set_cookie(cookie)
    assert browser.get("/accounts/alice").path.startswith("/login")


def test_an_administrator_edits_a_file(site: Site) -> None:
    chief = site.browser("chief")
    assert {row["account"] for row in chief.get("/v1/accounts").json["rows"]} == {"alice", "bob", "gone"}
    old = chief.get("/v1/accounts/bob/file").json
    wrong = chief.submit("/accounts/bob/file", text="account: bob\nlimits: {memry: 1G}\n", tag=old["etag"], do="check")
    assert "memory" in wrong.text
    assert (ETC / "accounts.d/bob.yaml").read_text() == old["text"]
    token = _csrf(chief, "/accounts/bob/file")
    answer = chief.send(
        "/v1/accounts/bob/file",
        "PUT",
        b"account: bob\nlimits: {memory: 77M}\n",
        **{"If-Match": old["etag"], "X-CSRF-Token": token, "Content-Type": "application/yaml"},
    )
    assert answer.status == 200, answer.text
    wait_for(lambda: knob("users/bob", "memory.max") == str(77 << 20), what="it is in the kernel")
    again = chief.send(
        "/v1/accounts/bob/file",
        "PUT",
        b"account: bob\n",
        **{"If-Match": old["etag"], "X-CSRF-Token": token, "Content-Type": "application/yaml"},
    )
    assert again.status == 412


def _csrf(browser: Browser, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get(path).text)
    assert found
    return found.group(1)


def test_a_suspended_customer_gets_in_and_can_order_nothing(site: Site) -> None:
    spec = site.spec
    before = spec.path("alice").read_text()
    service_pids()
    try:
        spec("accounts.d/alice.yaml", json.dumps({**json.loads(before), "suspended": True}))
        wait_for(lambda: knob("users/alice", "cgroup.freeze") == "1", what="she is suspended")
        alice = site.browser("alice")
        assert "suspended" in alice.get("/accounts/alice").text
        refused = alice.submit("/accounts/alice/services/web/restart", "/accounts/alice")
        assert "suspended" in refused.text
    finally:
        spec("accounts.d/alice.yaml", before)
        wait_for(lambda: knob("users/alice", "cgroup.freeze") == "0", what="she is no longer suspended")


def test_a_token_can_do_what_its_scope_and_accounts_say(site: Site) -> None:
    paas = Paas()
    made = paas("token", "create", "--scope", "read", "--account", "alice", "--name", "panel").out
    found = re.search(r"pi_\S+", made)
    assert found
    panel = Browser(found.group())
    assert panel.get("/v1/accounts/alice").json["account"] == "alice"
    assert panel.get("/v1/accounts/bob").status == 404
    assert panel.get("/v1/accounts").status == 403
    assert panel.send("/v1/accounts/alice/services/web/restart").status == 403
    (listed,) = json.loads(paas("token", "list", "--json").out)
    assert found.group() not in json.dumps(listed)
    assert Browser(found.group()[:-1] + "x").get("/v1/accounts/alice").status == 401
    paas("token", "revoke", listed["id"])


@pytest.mark.long
def test_a_token_that_was_revoked_is_worthless_within_a_minute(site: Site) -> None:
    paas = Paas()
    found = re.search(r"pi_\S+", paas("token", "create").out)
    assert found
    panel = Browser(found.group())
    assert panel.get("/v1/accounts/alice").status == 200
    (listed,) = json.loads(paas("token", "list", "--json").out)
    paas("token", "revoke", listed["id"])
    wait_for(lambda: panel.get("/v1/accounts/alice").status == 401, what="it is worthless", deadline=90)


PROBE = r"""
import json, os, socket
def tries(what):
    try: what(); return "done"
    except OSError as error: return error.strerror
def connects(path):
    with socket.socket(socket.AF_UNIX) as client: client.connect(path)
print("PROBE " + json.dumps({
    "uid": os.getuid(),
    "groups": len(os.getgroups()),
    "caps": [line for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd", "NoNewPrivs"))],
    **{path: tries(lambda: os.listdir(path)) for path in (
        "/etc/paas-isolate", "/var/lib/paas-isolate", "/home", "/root", "/run/paas-isolate", "/var/log")},
    **{path: tries(lambda: open(path).read()) for path in (
        "/etc/shadow", "/etc/paas-isolate/config.yaml", "/var/lib/paas-isolate/tokens.json")},
    "control": tries(lambda: connects("/run/paas-isolate/control.sock")),
    "session": tries(lambda: connects("/run/paas-isolate-session.sock")),
    "processes": [name for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()],
    "setuid": tries(lambda: os.setuid(0)), "write": tries(lambda: open("/etc/x", "w")),
}), flush=True)
"""


def test_a_program_in_its_place_reaches_nothing(site: Site) -> None:
    """Whoever takes over the page's process has the logins of those who are there, and no more."""
    PROBES.mkdir(parents=True, exist_ok=True)
    (PROBES / "probe.py").write_text(PROBE)
    program = f"exec(open('{PROBES}/probe.py').read())"
    text = f'[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/usr/bin/python3 -c "{program}"\n'
    (PROBES / "probe.conf").write_text(text)
    run("systemctl", "stop", WEB)
    run("systemctl", "daemon-reload")
    try:
        run("systemctl", "start", WEB)
        log = run("journalctl", "-u", WEB, "--no-pager", "-o", "cat", "-n", "50")
    finally:
        (PROBES / "probe.conf").unlink()
        (PROBES / "probe.py").unlink()
        PROBES.rmdir()
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", WEB)
        wait_for(_serves, what="the page is back", deadline=90)
    *_, line = [line for line in log.splitlines() if line.startswith("PROBE ")]
    found = json.loads(line.removeprefix("PROBE "))
    reached = {name for name, what in found.items() if what == "done"}
    assert reached == {"session"}, found
    assert found["processes"] == []
    assert found["uid"] >= 61184  # systemd.exec(5): DynamicUser=
    assert {line.split()[1] for line in found["caps"]} == {"0000000000000000", "1"}


def test_the_units_are_closed(site: Site) -> None:
    told = run("systemd-analyze", "security", "--no-pager", WEB)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert found
    assert float(found.group(1)) <= 1.5, told


def test_what_it_takes_of_memory(site: Site) -> None:
    for user in ("alice", "bob", "chief"):
        site.browser(user).get("/")
    status = Path(f"/proc/{main_pid()}/smaps_rollup").read_text()
    (pss,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("Pss:")]
    assert pss <= 60 << 10, f"{pss} kB"


def test_what_was_enabled_starts_with_the_machine(site: Site) -> None:
    assert subprocess.run(["paas-isolate", "enable", "web"], capture_output=True).returncode == 0
    try:
        assert systemctl("is-enabled", WEB, SOCKET).split() == ["enabled", "enabled"]
    finally:
        assert subprocess.run(["paas-isolate", "disable", "web"], capture_output=True).returncode == 0
    assert systemctl("is-active", WEB) == "inactive"
    run("systemctl", "start", SOCKET, WEB)
    wait_for(_serves, what="the page is back", deadline=90)
