"""Which lines of a stack are called, when each module answers as it is said to. See pam.conf(5).

A stack is a small program: a jump that is one too short leads a customer to pam_systemd, and no line of it is wrong.
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
    """`answer` is what the line's module returns, in the words of a control: `success`, `ignore`, `perm_denied`."""
    at, failed = 0, False
    before: dict[tuple[str, ...], bool] = {}  # whether something had failed when a substack began, for `reset`
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
    """Where these substacks end."""
    while at < len(stack) and stack[at].substacks[: len(substacks)] == substacks:
        at += 1
    return at


def _over(stack: Sequence[Line], at: int, substacks: tuple[str, ...]) -> int:
    """Past one line, or past a whole substack, which counts as one; but not out of the substacks of the jump.
    (One without lines counts for libpam too, and is not seen here.)"""
    if at == len(stack) or stack[at].substacks[: len(substacks)] != substacks:
        return at
    deeper = stack[at].substacks[: len(substacks) + 1]
    return _behind(stack, at, deeper) if deeper != substacks else at + 1
