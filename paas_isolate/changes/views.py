"""What each account sees: the views that were sold, and the steps to them."""

from collections.abc import Collection, Container, Iterator

from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.namespace import MakeView, RemoveView, SetAging
from paas_isolate.model.view import UNKNOWN, View, Views
from paas_isolate.units import format_duration


def desired_views(fleet: Fleet) -> Views:
    """An account none of whose users is confined (all are exempt) has none: nobody could enter it."""
    made: dict[str, View | None] = {
        account.directory: _of(account, account.view)
        for account in fleet.accounts.values()
        if account.view and account.uids
    }
    return Views(made, aging(fleet.host) if any(view.tmp for view in made.values() if view) else "")


def _of(account: Account, view: View) -> View:
    """Files are somebody's: another customer of that name is to find none. Those of an owner who is exempt, or gone,
    stay whose they are."""
    return view._replace(owner=account.uids.get(account.owner, UNKNOWN)) if view.tmp else view


def aging(host: Host) -> str:
    """As tmpfiles.d(5) has it: it goes by the last use, and leaves what somebody has locked."""
    return f"e {host.private.tmp}/*/* - - - {_as_systemd_has_it(host.private.age)}\n"


def _as_systemd_has_it(milliseconds: int) -> str:
    return format_duration(milliseconds) if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def preserved_views(account: Views, observed: Views, staying: Collection[str]) -> Views:
    """Those of accounts that stay as they are."""
    left = {it: view for it, view in observed.made.items() if it in staying and it not in account.made}
    return account._replace(
        made={**left, **account.made}, aging=observed.aging if left and not account.aging else account.aging
    )


def view_steps(desired: Views, observed: Views, cgroups: Container[str]) -> Iterator[Step]:
    """The files of an account go when its cgroup does."""
    for directory, view in desired.made.items():
        if view and (directory not in observed.made or observed.made[directory] != view):
            yield MakeView(directory, view, directory in observed.made, observed.made.get(directory))
    for directory, was in observed.made.items():
        if directory not in desired.made:
            stays = tree.account(directory) in cgroups
            files = was.tmp if was else observed.files.get(directory, "")
            yield RemoveView(directory, "" if stays else files)
    if desired.aging != observed.aging:
        yield SetAging(desired.aging)
