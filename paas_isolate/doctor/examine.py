"""All checks, in the order in which their failures have to be mended."""

from collections.abc import Iterator

from paas_isolate.doctor import host, logins, network, services, views
from paas_isolate.doctor.check import Check
from paas_isolate.model.account import Fleet


def examine(fleet: Fleet, *, etc: str, state: str, doors: str) -> Iterator[Check]:
    """Run all checks. `etc`, `state` and `doors` are directories."""
    yield from host.examine(fleet, etc)
    yield from logins.examine(fleet, state, doors)
    yield from network.examine(fleet)
    yield from services.examine(fleet)
    yield from views.examine(fleet)
