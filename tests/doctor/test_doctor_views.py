"""What doctor says of the host where customers are to see only what is theirs."""

from pathlib import Path

from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.views import examine, records
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.view import HIDDEN, View


def fleet(view: View | None) -> Fleet:
    sold = Account("alice", "alice", {"alice": 2**31}, "alice", "/home/alice", None, {}, (), view=view)
    return Fleet(Host(), {"alice": sold})


def test_nothing_where_nobody_sees_less() -> None:
    assert list(examine(fleet(None))) == []
    assert list(examine(fleet(View(tmp="/private/alice")))) == []


def test_the_system_bus() -> None:
    found = {check.name: check for check in examine(fleet(View(True, hide=HIDDEN)))}
    assert found["system bus"].verdict is found["journal"].verdict is Verdict.OK
    open_to_all = {check.name: check for check in examine(fleet(View(True)))}["system bus"]
    assert open_to_all.verdict is Verdict.SKIPPED
    assert "/etc/dbus-1/system.d" in open_to_all.mend


def test_records_of_logins(tmp_path: Path) -> None:
    wtmp, missing = tmp_path / "wtmp", str(tmp_path / "missing")
    wtmp.touch()
    wtmp.chmod(0o664)
    told = records((str(wtmp), missing))
    assert told.verdict is Verdict.SKIPPED
    assert f"chmod o-r {wtmp}," in told.mend
    wtmp.chmod(0o660)
    assert records((str(wtmp), missing)).verdict is Verdict.OK
