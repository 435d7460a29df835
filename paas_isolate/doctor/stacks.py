"""PAM stacks: whether every login passes our line, whether its options match config.yaml, and what follows it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.linux.pam import auth_update, authselect, profile, stacks
from paas_isolate.linux.pam.evaluate import SUCCESS, called
from paas_isolate.linux.pam.stack_tool import TOOLS
from paas_isolate.linux.pam.stacks import Line
from paas_isolate.model.account import Fleet

SERVICES = ("sshd", "login", "su", "sudo", "cron", "crond", "atd")
"""`cron` on Debian is `crond` on RHEL."""

STACKS = tuple(name for tool in TOOLS for name in tool.STACKS)
_WITHOUT_TERMINAL = ("sudo", "cron", "atd")
"""Services that include common-session-noninteractive on Debian."""
_REMOTE = ("sshd", "atd")
"""Services that include password-auth on RHEL; the others include system-auth."""

_SYSTEMD = "pam_systemd.so"
_OF_OURS = (profile.MODULE, "pam_permit.so", "pam_echo.so", "pam_deny.so", "pam_succeed_if.so")
_ANSWERS = {"pam_succeed_if.so": "auth_err", "pam_deny.so": "session_err"}
"""What these modules return for a customer: no condition that skips our module is met."""

INSTALL = "paas-isolate pam install"

Stacks = Mapping[str, Sequence[Line]]


def read(confdir: str = stacks.ETC) -> dict[str, tuple[Line, ...]]:
    """The stacks of services that have a file of their own, and of what they include."""
    there = (name for name in (*SERVICES, *STACKS) if os.path.exists(f"{confdir}/{name}"))
    return {name: stacks.lines(name, confdir=confdir) for name in there}


def are_ours(found: Stacks) -> bool:
    """Whether a line of ours stands in any of them."""
    return any(map(_ours, found.values()))


def passing(found: Stacks) -> Check:
    """Whether each service leads a customer through our line."""
    services = [name for name in SERVICES if name in found]
    missing = [name for name in services if not _ours(_walked(found[name]))]
    if not missing:
        return Check("pam", Verdict.OK, f"{', '.join(services)} pass {profile.MODULE}")
    verb = "does" if len(missing) == 1 else "do"
    said = f"{', '.join(missing)} {verb} not pass {profile.MODULE}: their logins run outside the tree"
    return Check("pam", Verdict.FAILED, said, "; ".join(dict.fromkeys(_mend(name, found) for name in missing)))


def _mend(service: str, found: Stacks) -> str:
    stack = found[service]
    if _ours(stack):
        return f"remove {[*_walked(stack)][-1].place}, after which {service} does not call {profile.MODULE}"
    debian, rhel = auth_update.STACKS[service in _WITHOUT_TERMINAL], authselect.STACKS[service in _REMOTE]
    for common, include in ((debian, "@include"), (rhel, "session include")):
        if _ours(found.get(common, ())):
            return f"echo '{include} {common}' >>{os.path.dirname(found[common][0].file)}/{service}"
    return INSTALL


def options(found: Stacks, fleet: Fleet, root: str, doors: str) -> Check:
    """Whether our lines are those that `pam install` would write now; `root` is the directory of the tree."""
    for stack in found.values():
        for line in _ours(stack):
            if differs := _differs(stack, line, fleet, root, doors):
                return Check("pam options", Verdict.FAILED, f"{line.place}: {differs}", INSTALL)
    return Check("pam options", Verdict.OK, "what config.yaml says")


def _differs(stack: Sequence[Line], line: Line, fleet: Fleet, root: str, doors: str) -> str:
    """What differs from config.yaml. `on_failure=` is an option of `pam install` and stays as it is."""
    on_failure = "on_failure=open" in line.arguments
    wanted = profile.options(fleet, root, doors, open_on_failure=on_failure)
    words = wanted.words()
    missing = [word for word in words if word not in line.arguments]
    surplus = [word for word in line.arguments if word not in words]
    if missing or surplus:
        return f"says {' '.join(surplus) or 'nothing'} where config.yaml says {' '.join(missing) or 'nothing'}"
    lines = profile.lines(wanted, fleet.host.exempt)
    before = next(at for at, text in enumerate(lines) if profile.MODULE in text)
    first = stack.index(line) - before
    there = [each.said for each in stack[max(first, 0) : first + len(lines)]]
    pairs = zip(lines, there, strict=False)
    same = len(there) == len(lines) and all(_same(wish, fact) for wish, fact in pairs)
    return "" if same else "the lines around it are not those that pam install writes"


def _same(wish: str, fact: str) -> bool:
    """The tool that made the stack has put a number for `end`."""
    return wish == (re.sub(r"success=\d+", "success=end", fact) if "success=end" in wish else fact)


def systemd(found: Stacks) -> Check:
    """Whether a customer gets a session of logind too, whose scope and user manager lie outside the tree."""
    jumped: dict[str, None] = {}
    for name in SERVICES:
        walked = list(_walked(found.get(name, ())))
        if not _ours(walked):
            continue
        if line := next((line for line in walked if line.module == _SYSTEMD), None):
            said = f"{name} also calls {_SYSTEMD} for customers ({line.place}): a logind session leads out of the tree"
            return Check("pam_systemd", Verdict.FAILED, said, _without(line))
        jumped.update(
            dict.fromkeys(line.module for line in found[name] if line not in walked and line.module not in _OF_OURS)
        )
    said = f"customers jump over {', '.join(jumped)}" if jumped else "no login calls it"
    return Check("pam_systemd", Verdict.OK, said)


def _without(line: Line) -> str:
    """In a stack that a tool makes, somebody's own line has made our jump too short."""
    made = (tool.REMAKE for tool in TOOLS if os.path.basename(line.file) in tool.STACKS)
    return next(made, f"sed -i '{line.number}s/^/#/' {line.file}")


def _walked(stack: Sequence[Line]) -> Iterator[Line]:
    return called(stack, lambda line: _ANSWERS.get(line.module, SUCCESS))


def _ours(lines: Sequence[Line] | Iterator[Line]) -> list[Line]:
    return [line for line in lines if line.module == profile.MODULE]
