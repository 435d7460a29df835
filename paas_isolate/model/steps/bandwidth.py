"""Steps for bandwidth. Their port carries out many at once."""

from typing import NamedTuple

from paas_isolate.model.bandwidth import REST, BandwidthRules, ClassKey
from paas_isolate.model.steps.base import step
from paas_isolate.text import abbreviated
from paas_isolate.units import format_rate


@step
class AddRoot(NamedTuple):
    """Make our HTB qdisc the root of an interface."""

    interface: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return f"add an HTB qdisc to {self.interface}"


@step
class RemoveRoot(NamedTuple):
    """Remove our HTB qdisc, with its classes: the kernel's default takes its place."""

    interface: str

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return f"remove the HTB qdisc of {self.interface}"


@step
class SetClass(NamedTuple):
    """Make or change the class that shapes what an account sends by an interface. Rates in bytes a second; `was` is
    None for a new class, 0 for one that somebody has changed otherwise."""

    key: ClassKey
    rate: int
    was: int | None
    directory: str

    @property
    def owner(self) -> str:
        return self.directory

    def __str__(self) -> str:
        if self.key.number == REST:
            return f"let all others send by {self.key.interface} in a class without a limit"
        was = "unlimited" if self.was is None else format_rate(8 * self.was) if self.was else "changed by hand"
        return f"limit what {self.directory} sends by {self.key.interface} to {format_rate(8 * self.rate)} (was {was})"


@step
class RemoveClass(NamedTuple):
    """Remove the class of an account that is sold no such limit any more."""

    key: ClassKey

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return f"remove the {self.key}"


@step
class SetBandwidthRules(NamedTuple):
    """Make, change or remove the table of nftables that says whose packets count to which limit. `was` is None where it
    must be made anew."""

    rules: BandwidthRules | None
    was: BandwidthRules | None

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        if self.rules is None:
            return "remove the ruleset of bandwidth"
        new, old = _sentences(self.rules), _sentences(self.was or BandwidthRules())
        if self.was is None:
            return f"make the ruleset of bandwidth: {abbreviated(sorted(new))}"
        pairs = ("add", new - old), ("remove", old - new)
        parts = [f"{verb} {abbreviated(sorted(texts))}" for verb, texts in pairs if texts]
        return f"change the ruleset of bandwidth: {', '.join(parts)}"


def _sentences(rules: BandwidthRules) -> set[str]:
    sent = {f"uid {uids} sends in class {number:x}" for uids, number in rules.senders}
    return sent | {f"uid {uids} receives {format_rate(8 * rate)}" for uids, _, rate in rules.receivers}


BandwidthStep = AddRoot | RemoveRoot | SetClass | RemoveClass | SetBandwidthRules
