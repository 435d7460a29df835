"""Steps for the views of accounts (mount namespaces). Their port carries out many at once."""

from typing import NamedTuple

from paas_isolate.model.steps.base import step
from paas_isolate.model.view import View


@step
class MakeView(NamedTuple):
    """Make the view of an account, and replace the old one where one is `there`. `was` is the old one, None where it is
    not intact."""

    directory: str
    view: View
    there: bool = False
    was: View | None = None

    @property
    def owner(self) -> str:
        return self.directory

    def __str__(self) -> str:
        if not self.there:
            return f"make the view of {self.directory}: {_shown(self.view)}"
        if self.was is None:
            return f"make the view of {self.directory} again, for it is not whole: {_shown(self.view)}"
        return f"change the view of {self.directory} to {_shown(self.view)} (was {_shown(self.was)})"


@step
class RemoveView(NamedTuple):
    """Remove a view, and its private files in `tmp`; '' while the account exists, which keeps them."""

    directory: str
    tmp: str = ""

    @property
    def owner(self) -> str:
        return self.directory

    def __str__(self) -> str:
        return f"remove the view of {self.directory}"


@step
class SetAging(NamedTuple):
    """Write the rule of tmpfiles.d(5) by which old files in the accounts' own /tmp are removed. `text` '' removes
    it."""

    text: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return (
            f"let files in private /tmp go by: {self.text.rstrip()}" if self.text else "keep all files in private /tmp"
        )


def _shown(view: View) -> str:
    parts = (("processes", view.processes), ("tmp", view.tmp), ("shm", view.shm))
    own = ", ".join(name for name, is_own in parts if is_own) or "nothing"
    return f"{own} of its own, {', '.join(view.hide)} hidden" if view.hide else f"{own} of its own"


NamespaceStep = MakeView | RemoveView | SetAging
