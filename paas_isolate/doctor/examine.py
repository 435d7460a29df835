"""All checks, in the order in which their failures have to be mended."""

from collections.abc import Iterator

from paas_isolate.doctor import bandwidth, host, logins, metering, modules, network, page, services, subuids, views
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.model.account import Fleet
from paas_isolate.source import decisions


def examine(fleet: Fleet, *, etc: str, state: str, doors: str) -> Iterator[Check]:
    """Run all checks. `etc`, `state` and `doors` are directories."""
    yield from host.examine(fleet, etc, state)
    yield from damage(state)
    yield from logins.examine(fleet, state, doors)
    yield from network.examine(fleet)
    yield from modules.examine(fleet)
    yield from subuids.examine(fleet)
    yield from bandwidth.examine(fleet)
    yield from services.examine(fleet)
    yield from views.examine(fleet)
    yield from metering.examine(fleet)
    yield from page.examine(state)


def damage(state: str) -> Iterator[Check]:
    """A failed check when decisions.json in the directory `state` cannot be used; none otherwise."""
    try:
        decisions.load(state)
    except HostError as error:
        yield Check(decisions.FILE, Verdict.FAILED, str(error).splitlines()[0], error.hint)
