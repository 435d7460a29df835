"""doctor on logins: whatever lets a customer in outside the tree, or leads one out, is found and has its mend."""

import json
from pathlib import Path

import pytest

from paas_isolate.doctor import stacks
from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.logins import complete, lingering, managers
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam import profile
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS

ROOT, DOORS = "/cgroup/paas.slice/paas-tree.service", "/run/paas-isolate/doors"
OK, FAILED, SKIPPED = Verdict.OK, Verdict.FAILED, Verdict.SKIPPED

DEBIAN = """\
session	[default=1]			pam_permit.so
session	requisite			pam_deny.so
session	required			pam_permit.so
session	required	pam_unix.so
"""
BEHIND = ("optional\tpam_systemd.so", "optional pam_umask.so")
SERVICES = {
    "sshd": "account required pam_nologin.so\nsession required pam_loginuid.so\n@include common-session\n",
    "su": "auth sufficient pam_rootok.so\n@include common-session\n",
    "login": "session optional pam_motd.so\n@include common-session\n",
    "sudo": "@include common-session-noninteractive\n",
    "cron": "session required pam_loginuid.so\n@include common-session-noninteractive\nsession optional pam_env.so\n",
}


def sold(name: str, **uids: int) -> Account:
    return Account(name, name, uids, name, f"/home/{name}", None, NO_LIMITS, ())


FLEET = Fleet(
    Host(exempt=("@sudo", "ops")),
    {"alice": sold("alice", alice=1001), "bob": sold("bob", bob=1002, admin=1004)},
    exempt=frozenset({1004}),
)


class PamFiles:
    """/etc/pam.d as Debian has it, with our profile switched on."""

    def __init__(self, place: Path) -> None:
        self.place = place
        lines = profile.lines(profile.options(FLEET, ROOT, DOORS), FLEET.host.exempt)
        self.common("common-session", lines, *BEHIND)
        self.common("common-session-noninteractive", lines)
        for name, text in SERVICES.items():
            (place / name).write_text(text)

    def common(self, name: str, ours: list[str], *behind: str) -> None:
        """As pam-auth-update makes it: `end` is a number."""
        lines = [*ours, *behind]
        end = len(lines) - 1 - next(at for at, line in enumerate(lines) if "success=end" in line)
        block = "".join(f"session\t{line}\n" for line in lines).replace("success=end", f"success={end}")
        (self.place / name).write_text(DEBIAN + block)

    def change(self, name: str, old: str, new: str) -> None:
        file = self.place / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def read(self) -> stacks.Stacks:
        return stacks.read(str(self.place))

    @property
    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        found = self.read()
        checks = stacks.passing(found), stacks.options(found, FLEET, ROOT, DOORS), stacks.systemd(found)
        assert all(bool(check.mend) == (check.verdict is FAILED) for check in checks)
        return checks[0].verdict, checks[1].verdict, checks[2].verdict


@pytest.fixture
def machine(tmp_path: Path) -> PamFiles:
    return PamFiles(tmp_path)


def test_what_pam_install_leaves_is_fit(machine: PamFiles) -> None:
    assert machine.verdicts == (OK, OK, OK)
    found = machine.read()
    assert stacks.passing(found).found == "sshd, login, su, sudo, cron pass pam_paas_isolate.so"
    assert stacks.systemd(found).found == "customers jump over pam_systemd.so, pam_umask.so"


def test_a_machine_without_our_lines_is_not_ours(machine: PamFiles) -> None:
    assert stacks.are_ours(machine.read())
    machine.common("common-session", [], "[success=end] pam_permit.so")
    assert stacks.are_ours(machine.read())
    machine.common("common-session-noninteractive", [], "[success=end] pam_permit.so")
    assert not stacks.are_ours(machine.read())


def test_services_that_do_not_pass_are_named_with_their_mend(machine: PamFiles) -> None:
    machine.change("sshd", "@include common-session", "#")
    machine.change("cron", "@include common-session-noninteractive", "session required pam_unix.so")
    check = stacks.passing(machine.read())
    assert check.found.startswith("sshd, cron do not pass pam_paas_isolate.so")
    for command in check.mend.split("; "):
        word, line, file = command.split("'", 2)[0], command.split("'")[1], Path(command.partition(">>")[2])
        assert word == "echo "
        file.write_text(f"{file.read_text()}{line}\n")
    assert machine.verdicts == (OK, OK, OK)


def test_a_line_before_ours_that_ends_the_stack(machine: PamFiles) -> None:
    machine.change("su", "@include", "session sufficient pam_unix.so\n@include")
    check = stacks.passing(machine.read())
    assert check.found.startswith("su does not pass")
    assert f"{machine.place}/su:2" in check.mend
    machine.change("su", "session sufficient", "session [success=1 default=ignore]")
    assert f"{machine.place}/common-session:2" in stacks.passing(machine.read()).mend  # it lands on pam_deny
    machine.change("su", "success=1", "success=2")
    assert stacks.passing(machine.read()).verdict is OK


def test_a_stack_that_is_without_us_is_mended_by_install(machine: PamFiles) -> None:
    machine.common("common-session-noninteractive", [], "[success=end] pam_permit.so")
    check = stacks.passing(machine.read())
    assert (check.found.partition(" do not")[0], check.mend) == ("sudo, cron", "paas-isolate pam install")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("first_uid=1000", "first_uid=2000", "says first_uid=2000 where config.yaml says first_uid=1000"),
        (" exempt=1004", "", "says nothing where config.yaml says exempt=1004"),
        ("exempt=1004", "exempt=1001,1004", "says exempt=1001,1004 where config.yaml says exempt=1004"),
        ("paas-tree.service/penalty", "other.service/penalty", "says penalty=/cgroup/paas.slice/other.service/penalty"),
        (DOORS, "/run/doors", "says doors=/run/doors where"),
        ("perm_denied=die", "perm_denied=ignore", "the lines around it"),
        ("ingroup sudo", "ingroup users", "the lines around it"),
        ("uid < 1000", "uid < 2000", "the lines around it"),
        (
            "requisite pam_deny.so\nsession\t[success",
            "optional pam_permit.so\nsession\t[success",
            "the lines around it",
        ),
        ("session\t[success=6", "#\t[success=6", "the lines around it"),
    ],
)
@pytest.mark.parametrize("stack", ["common-session", "common-session-noninteractive"])
def test_lines_that_are_not_those_of_today(machine: PamFiles, old: str, new: str, said: str, stack: str) -> None:
    machine.change(stack, old, new)
    check = stacks.options(machine.read(), FLEET, ROOT, DOORS)
    assert check.verdict is FAILED
    assert said in check.found
    assert f"{machine.place}/{stack}:" in check.found


def test_on_failure_open_is_the_administrators_own_choice(machine: PamFiles) -> None:
    open_ = profile.lines(profile.options(FLEET, ROOT, DOORS, open_on_failure=True), FLEET.host.exempt)
    machine.common("common-session", open_, *BEHIND)
    assert machine.verdicts == (OK, OK, OK)


def test_a_line_of_somebodys_own_that_makes_our_jump_too_short(machine: PamFiles) -> None:
    machine.change("common-session", "session\toptional pam_umask.so\n", "")
    machine.change(
        "common-session", "session\toptional\tpam_systemd", "session optional x.so\nsession\toptional\tpam_systemd"
    )
    assert stacks.systemd(machine.read()).verdict is OK  # one to spare, for the line that is gone
    machine.change("common-session", "session optional x.so\n", "session optional x.so\nsession optional y.so\n")
    check = stacks.systemd(machine.read())
    assert check.found.startswith("sshd also calls pam_systemd.so for customers")
    assert check.mend == "pam-auth-update --force"


@pytest.mark.parametrize("before", [True, False])
def test_a_service_with_a_session_of_logind_of_its_own(machine: PamFiles, before: bool) -> None:
    common, own = "@include common-session\n", "-session optional pam_systemd.so\n"
    machine.change("login", common, own + common if before else common + own)
    check = stacks.systemd(machine.read())
    file = machine.place / "login"
    assert f"login also calls pam_systemd.so for customers ({file}:{2 if before else 3})" in check.found
    assert check.mend == f"sed -i '{2 if before else 3}s/^/#/' {file}"


def test_doors(tmp_path: Path) -> None:
    doors, state = tmp_path / "doors", tmp_path / "state"
    doors.mkdir()
    state.mkdir()

    def seen() -> tuple[Verdict, str]:
        check = complete(str(doors), str(state))
        return check.verdict, check.mend

    assert seen() == (FAILED, "paas-isolate reconcile")
    (doors / ".complete").touch()
    assert seen() == (FAILED, "paas-isolate pam install")  # the next reconcile keeps no doors
    decided = {"held": [], "departed": [], "said": [], "doors": True}
    (state / "decisions.json").write_text(json.dumps(decided))
    assert seen() == (OK, "")
    (state / "decisions.json").write_text("{")
    assert seen()[0] is FAILED
    doors.rename(tmp_path / "elsewhere")
    assert seen() == (FAILED, "paas-isolate reconcile")


def test_customers_that_linger(tmp_path: Path) -> None:
    assert lingering(FLEET, str(tmp_path / "none")).verdict is OK
    for name in ("root", "carol", "admin"):
        (tmp_path / name).touch()
    assert lingering(FLEET, str(tmp_path)).verdict is OK  # admin is exempt, carol nobody's
    for name in ("bob", "alice"):
        (tmp_path / name).touch()
    check = lingering(FLEET, str(tmp_path))
    assert (check.verdict, check.mend) == (SKIPPED, "loginctl disable-linger alice bob")
    assert check.found.endswith("for alice, bob")


def test_user_managers_that_are_alive(tmp_path: Path) -> None:
    def manager(uid: int, *, populated: int) -> None:
        service = tmp_path / "user.slice" / f"user-{uid}.slice" / f"user@{uid}.service"
        service.mkdir(parents=True, exist_ok=True)
        (service / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")

    with CgroupTree(str(tmp_path), str(tmp_path)) as cgroups:
        assert managers(FLEET, cgroups).verdict is OK
        manager(0, populated=1)
        manager(1004, populated=1)
        manager(1001, populated=0)
        (tmp_path / "user.slice" / "user-1002.slice" / "session-3.scope").mkdir(parents=True)
        assert managers(FLEET, cgroups).verdict is OK
        manager(1001, populated=1)
        check = managers(FLEET, cgroups)
    assert (check.verdict, check.mend) == (FAILED, "systemctl stop user@1001")
    assert check.found.endswith("those of alice")
