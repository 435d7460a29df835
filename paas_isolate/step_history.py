"""Keeps what passes have changed in the ledger, for `paas-isolate explain`. SQLite is imported only where there is
something to keep."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from paas_isolate.errors import trouble
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup import sampled
from paas_isolate.model import tree
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.bandwidth import SetClass
from paas_isolate.model.steps.cgroup import CreateCgroup, LowerMemory, RemoveCgroup, SetKnob
from paas_isolate.model.steps.quota import SetQuota
from paas_isolate.model.steps.service import GiveUp, Kill, Start, Stop

if TYPE_CHECKING:
    from paas_isolate.metering.past import Change


def with_history(
    installation: Installation,
    warn: Callable[[str], None],
    kept: Callable[[Sequence[Step]], None] = lambda _: None,
) -> Installation:
    """An installation whose passes keep what they have changed, while metering is on. `kept` is called with it. `warn`
    is told what is wrong; nothing is raised: a pass confines accounts whatever becomes of its record."""

    def applied(outcomes: Sequence[Outcome]) -> None:
        try:
            if steps := worth_keeping(outcomes):
                kept(steps)
                _keep(installation.ledger, steps, warn)
        except Exception as error:  # noqa: BLE001  (see above)
            warn(f"what was changed is not remembered: {trouble(error).what}")

    return installation._replace(applied=applied)


def worth_keeping(outcomes: Iterable[Outcome]) -> list[Step]:
    """The steps that were done and changed what an account may use, or what runs there. Knobs of new cgroups and leaves
    of new accounts go without saying; jobs, which start again and again, are told by `status`."""
    done = [outcome.step for outcome in outcomes if outcome.status is Status.DONE]
    new = {step.path for step in done if isinstance(step, CreateCgroup)}
    return [step for step in done if _is_kept(step, new)]


def _is_kept(step: Step, new: set[str]) -> bool:
    match step:
        case SetKnob(path=path, was=was):
            return was is not None and path not in new and _is_users(path)
        case CreateCgroup(path=path) | RemoveCgroup(path=path):
            return bool(step.owner) and (tree.is_account(path) or tree.parent(path) not in new)
        case Start(launch=launch):
            return not launch.is_job
        case Stop(tidy=tidy):
            return not tidy
        case Kill(before=before):
            return not before
        case SetClass(was=was):
            return was is not None and bool(step.owner)
        case LowerMemory() | SetQuota() | GiveUp():
            return True
    return False


def _is_users(path: str) -> bool:
    return path == tree.USERS or bool(tree.directory_of(path))


def _keep(directory: str, steps: Sequence[Step], warn: Callable[[str], None]) -> None:
    from paas_isolate.ledger import steps as ledger

    wall = time.time_ns() // 1_000_000
    changes = [_change(step, wall) for step in steps]
    ledger.keep(directory, sampled.boot(), sampled.boottime(), changes, warn)


def _change(step: Step, wall: int) -> "Change":
    from paas_isolate.metering.past import Change

    directory = step.owner
    path = getattr(step, "path", "")
    leaf = path.removeprefix(tree.account(directory)).lstrip("/") if directory else ""
    kind, was, value = type(step).__name__, None, None
    if isinstance(step, SetKnob | LowerMemory):
        kind = step.knob if isinstance(step, SetKnob) else "memory.max"
        was, value = step.was, step.value
    return Change(wall, directory, leaf, kind, was, value, str(step))
