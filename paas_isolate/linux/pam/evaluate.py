"""Evaluates a PAM stack as libpam does: which lines are called when each module returns a given value. See pam.conf(5).

A stack is a small program. A jump that is one line too short calls pam_systemd for a customer, although each line by
itself is correct.
"""

from collections.abc import Callable, Iterator, Sequence

from paas_isolate.linux.pam.stacks import Line

SUCCESS = "success"

_WORDS = {
    "required": {"success": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "default": "ignore"},
    "optional": {"success": "ok", "default": "ignore"},
}


def called(stack: Sequence[Line], answer: Callable[[Line], str]) -> Iterator[Line]:
    """The lines that libpam calls, in order. `answer` gives what a line's module returns, in the words of a control:
    `success`, `ignore`, `perm_denied`."""
    at, failed = 0, False
    before: dict[tuple[str, ...], bool] = {}  # by substack: whether a line had failed when it began, for `reset`
    while at < len(stack):
        line = stack[at]
        yield line
        for depth in range(1, len(line.substacks) + 1):
            before.setdefault(line.substacks[:depth], failed)
        action = _action(line.control, answer(line))
        at += 1
        if action == "reset":
            failed = before.get(line.substacks, False)
        elif action == "die" or (action == "done" and not failed):
            at = _behind(stack, at, line.substacks)
        elif action.isdecimal():
            for _ in range(int(action)):
                landed = _over(stack, at, line.substacks)
                failed = failed or landed == at  # libpam: bad jump
                at = landed
        failed = failed or action in ("bad", "die")


def _action(control: str, answer: str) -> str:
    actions = _WORDS.get(control)
    if actions is None:
        pairs = (word.partition("=") for word in control.strip("[]").split())
        actions = {name: action for name, _, action in pairs}
    return actions.get(answer, actions.get("default", "bad"))


def _behind(stack: Sequence[Line], at: int, substacks: tuple[str, ...]) -> int:
    """The index of the first line after these substacks."""
    while at < len(stack) and stack[at].substacks[: len(substacks)] == substacks:
        at += 1
    return at


def _over(stack: Sequence[Line], at: int, substacks: tuple[str, ...]) -> int:
    """The index after one step of a jump: past one line, or past a whole substack, which counts as one line. A jump
    does not leave the substack that it is in. (libpam also counts a substack without lines, which is missing here.)"""
    if at == len(stack) or stack[at].substacks[: len(substacks)] != substacks:
        return at
    deeper = stack[at].substacks[: len(substacks) + 1]
    return _behind(stack, at, deeper) if deeper != substacks else at + 1
