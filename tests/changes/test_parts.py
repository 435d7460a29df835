"""What was observed, sorted by account."""

from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.parts import Parts
from paas_isolate.model.intent import Intent
from paas_isolate.model.view import View
from paas_isolate.model.world import Process
from tests.support.fleets import DISK, MACHINE, carried_out, fleet, sold


def test_a_part_has_all_that_is_an_accounts_and_nothing_of_another() -> None:
    accounts = sold("alice", uid=1001, view=View(tmp="/t/alice")), sold("bob", uid=1002, view=View(tmp="/t/bob"))
    whole = fleet(*accounts)
    world = desired_static(Intent(whole, MACHINE), device_of=lambda _: DISK)
    strays = Process(7, 1001, "/system.slice/x.service"), Process(8, 1002, "users/bob/login")
    observed = carried_out(world)._replace(processes=strays, members={"users/bob/login": (8,)})
    parts = Parts(observed, whole)
    for name, pid in (("alice", 7), ("bob", 8)):
        only = whole._replace(accounts={name: whole.accounts[name]})
        wanted = desired_static(Intent(only, MACHINE), device_of=lambda _: DISK)
        seen = parts.of([name])
        steps = diff(
            desired_state(only, wanted, seen), seen._replace(views=seen.views._replace(aging=wanted.views.aging))
        )
        assert [str(step) for step in steps] == (
            ["move process 7 from /system.slice/x.service to users/alice/other"] if pid == 7 else []
        )
        assert [process.pid for process in seen.processes] == [pid]
        assert not [path for path in seen.cgroups if {"alice": "bob", "bob": "alice"}[name] in path]
