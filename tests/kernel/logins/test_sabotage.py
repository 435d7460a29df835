"""Nobody is locked out: whatever is broken, root and the administrators can log in, by every way, and are never in the
tree; a customer is inside, in the penalty leaf, or is told that no login is possible."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.login_host import LoginHost
from tests.support.kernel.logins import KEY, PASSWORD, forwarded, login
from tests.support.kernel.pam_build import ADMIN, ALICE, OPERATOR, ROOT, PamBuild
from tests.support.kernel.sabotages import SABOTAGES, Sabotage

pytestmark = pytest.mark.kernel

AT_ONCE = 4
EXEMPT = (ROOT, ADMIN, OPERATOR)
PAM_SUCCESS = 0

every_sabotage = pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name.replace(" ", "-"))


@every_sabotage
def test_exempt_users_can_log_in_and_customers_are_never_outside(login_host: LoginHost, sabotage: Sabotage) -> None:
    sabotage.do(login_host)
    with ThreadPoolExecutor(AT_ONCE) as many:
        exempt = [(who, way, many.submit(login, login_host, who, way=way)) for who in EXEMPT for way in (KEY, PASSWORD)]
        customers = [many.submit(login, login_host, ALICE, way=way) for way in (KEY, PASSWORD)]
    for who, way, each in exempt:
        found = each.result()
        assert (found.status, found.beside) == (0, True), (who.name, way, found.said)
        assert found.cgroup.startswith("/"), (who.name, way)
    for each in customers:
        found = each.result()
        assert found.cgroup == sabotage.lands
        assert not found.beside
        assert sabotage.refused in found.said
        assert (found.status == 0) is not bool(sabotage.refused)


@every_sabotage
def test_roots_cron_and_sudo_still_work(login_host: LoginHost, sabotage: Sabotage) -> None:
    sabotage.do(login_host)
    for service in ("cron", "sudo"):
        for who in EXEMPT:
            answer, _, cgroup = login_host.session(service, who)
            assert (answer, cgroup) == (PAM_SUCCESS, ""), (service, who.name)
        answer, said, cgroup = login_host.session(service, ALICE)
        if sabotage.refused:
            assert answer != PAM_SUCCESS
            assert (said, cgroup) == (sabotage.refused, "")
        else:
            assert (answer, cgroup) == (PAM_SUCCESS, sabotage.lands)


@every_sabotage
def test_a_customer_is_outside_only_where_the_administrator_chose_so(
    tmp_path: Path, pam_build: PamBuild, cgroups: CgroupTree, sabotage: Sabotage
) -> None:
    with LoginHost(tmp_path, pam_build, cgroups, open_on_failure=True) as login_host:
        sabotage.do(login_host)
        root, found = login(login_host, ROOT), login(login_host, ALICE)
        assert (root.status, root.cgroup[:1]) == (0, "/")
        if sabotage.logged:
            assert (found.status, found.cgroup[:1]) == (0, "/")
            assert login_host.logged(sabotage.logged)
        else:
            assert found.cgroup == sabotage.lands
            assert sabotage.refused in found.said
            assert (found.status == 0) is not bool(sabotage.refused)


def test_a_refused_login_cannot_use_its_connection(login_host: LoginHost) -> None:
    """sshd keeps the connection of one whose session did not open, outside, but forwards nothing."""
    login_host.module.unlink()
    with forwarded(login_host, ALICE) as (local, server):
        assert local.recv(1) == b""
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.long
def test_a_truncated_module_refuses_customers_alone(login_host: LoginHost) -> None:
    whole = login_host.module.read_bytes()
    for length in range(0, len(whole), 61):
        login_host.module.write_bytes(whole[:length])
        assert login_host.session("sshd", ROOT)[0] == PAM_SUCCESS, length
        assert login_host.session("sshd", ALICE)[0] != PAM_SUCCESS, length
    login_host.module.write_bytes(whole)
    assert login_host.session("sshd", ALICE)[0] == PAM_SUCCESS
