"""Views: the desired ones, and the steps to them."""

from collections.abc import Collection, Container, Iterator

from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.namespace import MakeView, RemoveView, SetAging
from paas_isolate.model.view import UNKNOWN, View, Views
from paas_isolate.units import format_duration


def desired_views(fleet: Fleet) -> Views:
    """The desired views. An account whose users are all exempt has none, for nobody would enter it."""
    made: dict[str, View | None] = {
        account.directory: _with_owner(account, account.view)
        for account in fleet.accounts.values()
        if account.view and account.uids
    }
    return Views(made, aging(fleet.host) if any(view.tmp for view in made.values() if view) else "")


def _with_owner(account: Account, view: View) -> View:
    """The view with the uid that owns its private files, so that a later account of the same name does not get them.
    UNKNOWN, where the owner is exempt or gone, leaves the files as they are."""
    return view._replace(owner=account.uids.get(account.owner, UNKNOWN)) if view.tmp else view


def aging(host: Host) -> str:
    """The line of tmpfiles.d(5) that removes old private files. Age counts from the last use; locked files stay."""
    return f"e {host.private.tmp}/*/* - - - {_systemd_time(host.private.age)}\n"


def _systemd_time(milliseconds: int) -> str:
    return format_duration(milliseconds) if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def preserved_views(desired: Views, observed: Views, staying: Collection[str]) -> Views:
    """The desired views with the observed ones of accounts in `staying`, which have no specification."""
    left = {name: view for name, view in observed.made.items() if name in staying and name not in desired.made}
    aging = observed.aging if left and not desired.aging else desired.aging
    return desired._replace(made={**left, **desired.made}, aging=aging)


def view_steps(desired: Views, observed: Views, cgroups: Container[str]) -> Iterator[Step]:
    """The steps to the desired views. The private files of an account are removed only when its cgroup is (it is no
    longer among the desired `cgroups`)."""
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
