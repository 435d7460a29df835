"""Nobody is locked out: whatever is broken, root and the administrators come in, by every way, and are never in the
tree; a customer is inside, in the penalty leaf, or is told that no login is possible."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.login_host import House, near
from tests.support.kernel.logins import KEY, PASSWORD, connection, login
from tests.support.kernel.pam_build import ADMIN, ALICE, OPERATOR, ROOT, Kit
from tests.support.kernel.sabotages import SABOTAGES, Sabotage
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

AT_ONCE = 4
EXEMPT = (ROOT, ADMIN, OPERATOR)
PAM_SUCCESS = 0

every_sabotage = pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name.replace(" ", "-"))


@every_sabotage
def test_who_is_exempt_comes_in_and_a_customer_not_out(house: House, sabotage: Sabotage) -> None:
    sabotage.do(house)
    with ThreadPoolExecutor(AT_ONCE) as many:
        exempt = [(who, way, many.submit(login, house, who, way=way)) for who in EXEMPT for way in (KEY, PASSWORD)]
        customers = [many.submit(login, house, ALICE, way=way) for way in (KEY, PASSWORD)]
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
def test_roots_cron_and_sudo_go_on(house: House, sabotage: Sabotage) -> None:
    sabotage.do(house)
    for service in ("cron", "sudo"):
        for who in EXEMPT:
            answer, _, cgroup = house.session(service, who)
            assert (answer, cgroup) == (PAM_SUCCESS, ""), (service, who.name)
        answer, said, cgroup = house.session(service, ALICE)
        if sabotage.refused:
            assert answer != PAM_SUCCESS
            assert (said, cgroup) == (sabotage.refused, "")
        else:
            assert (answer, cgroup) == (PAM_SUCCESS, sabotage.lands)


@every_sabotage
def test_a_customer_is_out_only_where_that_is_wanted(
    tmp_path: Path, kit: Kit, cgroups: CgroupTree, sabotage: Sabotage
) -> None:
    with House(tmp_path, kit, cgroups, open_on_failure=True) as house:
        sabotage.do(house)
        root, found = login(house, ROOT), login(house, ALICE)
        assert (root.status, root.cgroup[:1]) == (0, "/")
        if sabotage.logged:
            assert (found.status, found.cgroup[:1]) == (0, "/")
            assert house.logged(sabotage.logged)
        else:
            assert found.cgroup == sabotage.lands
            assert sabotage.refused in found.said
            assert (found.status == 0) is not bool(sabotage.refused)


def test_who_is_refused_has_a_connection_for_nothing(house: House) -> None:
    """sshd keeps the connection of one whose session did not open, outside, but forwards nothing."""
    house.module.unlink()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connection(house, ALICE, "-L", f"./entry:127.0.0.1:{server.getsockname()[1]}"),
        socket.socket(socket.AF_UNIX) as local,
    ):
        wait_for((house.place / "entry").exists, what="the forward is there")
        with near(house.place) as here:
            local.connect(f"{here}/entry")
        assert local.recv(1) == b""
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.long
def test_a_module_cut_anywhere_keeps_nobody_but_customers_out(house: House) -> None:
    whole = house.module.read_bytes()
    for length in range(0, len(whole), 61):
        house.module.write_bytes(whole[:length])
        assert house.session("sshd", ROOT)[0] == PAM_SUCCESS, length
        assert house.session("sshd", ALICE)[0] != PAM_SUCCESS, length
    house.module.write_bytes(whole)
    assert house.session("sshd", ALICE)[0] == PAM_SUCCESS
