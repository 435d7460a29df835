"""Steps with the views of accounts (mount namespaces): many of them are carried out at once."""

from typing import NamedTuple

from paas_isolate.model.steps.base import step
from paas_isolate.model.view import View


@step
class MakeView(NamedTuple):
    """Make the view of an account, in the place of the one that is `there`. `was` is None where that is not whole."""

    directory: str
    view: View
    there: bool = False
    was: View | None = None

    @property
    def owner(self) -> str:
        return self.directory

    def __str__(self) -> str:
        if not self.there:
            return f"make the view of {self.directory}: {_seen(self.view)}"
        if self.was is None:
            return f"make the view of {self.directory} again, for it is not whole: {_seen(self.view)}"
        return f"change the view of {self.directory} to {_seen(self.view)} (was {_seen(self.was)})"


@step
class RemoveView(NamedTuple):
    """Take a view away, and the files that were kept for it in `tmp` (they stay while its account does)."""

    directory: str
    tmp: str = ""

    @property
    def owner(self) -> str:
        return self.directory

    def __str__(self) -> str:
        return f"remove the view of {self.directory}"


@step
class SetAging(NamedTuple):
    """Say to systemd-tmpfiles(8) when files in the accounts' own /tmp go."""

    text: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return (
            f"let files in private /tmp go by: {self.text.rstrip()}" if self.text else "keep all files in private /tmp"
        )


def _seen(view: View) -> str:
    named = (("processes", view.processes), ("tmp", view.tmp), ("shm", view.shm))
    own = ", ".join(name for name, is_own in named if is_own) or "nothing"
    return f"{own} of its own, {', '.join(view.hide)} hidden" if view.hide else f"{own} of its own"


NamespaceStep = MakeView | RemoveView | SetAging
