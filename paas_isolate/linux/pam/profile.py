"""The profile of pam-auth-update(8) that adds our lines to the session stacks.

Users that are no customers jump past our module to the last line: a module that is missing, truncated or of another
architecture locks out neither root nor an exempt administrator. A customer whose session our module has placed jumps
past the lines of the other profiles, above all pam_systemd: its session scope would be outside the tree.

pam-auth-update replaces `end` in a control by a number. It takes a stack for edited by hand when the same control
occurs with another number, and it writes 0, which libpam refuses, when no line follows. So the jump to the end has a
line of its own, and one more line follows it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet

NAME = "paas-isolate"
MODULE = "pam_paas_isolate.so"
SERVICES = (
    *("sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron", "crond", "atd", "vsftpd"),
    *("proftpd", "pure-ftpd", "systemd-user", "remote", "rsh", "screen", "tmux", "cockpit", "xrdp-sesman"),
)
"""PAM services whose sessions run a customer's own programs. pam/module/services.h is generated from this list."""

REFUSED = "Logins are not possible at the moment. Please contact your hosting provider."

LONGEST = 900
"""Bytes of a line of ours: libpam before 1.6 cuts lines at 1024 and reads the rest as another line (linux-pam
#532)."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-")
_PATH = _PLAIN | {"/"}


class Options(NamedTuple):
    """The module's arguments. `first_uid`, `last_uid` and `exempt` are uids; `penalty` is the path of a cgroup's
    directory, `doors` that of the directory of doors."""

    first_uid: int
    last_uid: int
    exempt: tuple[int, ...]
    penalty: str
    doors: str
    open_on_failure: bool = False
    strangers_to_penalty: bool = False
    """Whether users in the range without an account enter `penalty` (without_account of config.yaml)."""

    def words(self) -> list[str]:
        """The arguments as the module reads them. `exempt=` comes last, with as many uids as the line has room for: the
        users that config.yaml names jump past the module in any case."""
        words = [f"first_uid={self.first_uid}", f"last_uid={self.last_uid}"]
        words += [f"penalty={self.penalty}", f"doors={self.doors}"]
        words += ["without_account=penalty"] if self.strangers_to_penalty else []
        words += ["on_failure=open"] if self.open_on_failure else []
        for exempt in _joined(",", map(str, self.exempt), LONGEST - 100 - len(" ".join(words)))[:1]:
            words.append(f"exempt={exempt}")
        return words


def options(fleet: Fleet, root: str, doors: str, *, open_on_failure: bool = False) -> Options:
    """The module's arguments on this machine; `root` is the tree's directory. HostError when a path cannot be written
    in a PAM stack."""
    host = fleet.host
    for path in (root, doors):
        if not _PATH.issuperset(path) or len(path) > LONGEST // 4:
            raise HostError(f"the path {path!r} cannot stand in a PAM stack; expected plain letters, and fewer of them")
    exempt = tuple(sorted(uid for uid in fleet.exempt if host.first_uid <= uid <= host.last_uid))
    strangers = host.without_account == "penalty"
    return Options(host.first_uid, host.last_uid, exempt, f"{root}/{tree.PENALTY}", doors, open_on_failure, strangers)


def lines(of: Options, exempt: tuple[str, ...], module: str = MODULE) -> list[str]:
    """The session lines, without the word `session`. `exempt` are the users and @groups of config.yaml, by name, so
    that a user who joins such a group later is exempt at once."""
    conditions = [
        f"service notin {':'.join(SERVICES)}",
        f"uid < {of.first_uid}",
        f"uid > {of.last_uid}",
        *_by_name("user in", [name for name in exempt if not name.startswith("@")]),
        *_by_name("user ingroup", [name[1:] for name in exempt if name.startswith("@")]),
    ]
    call = " ".join((module, *of.words()))
    if of.open_on_failure:
        ours = [f"[success=1 perm_denied=die default=ignore] {call}", "[success=1 default=ignore] pam_permit.so"]
    else:
        ours = [
            f"[success=2 ignore=3 perm_denied=die default=ignore] {call}",
            f"optional pam_echo.so {REFUSED}",
            "requisite pam_deny.so",
        ]
    ours.append("[success=end default=ignore] pam_permit.so")
    total = len(conditions) + len(ours)
    jumps = (f"[success={total - at} default=ignore]" for at in range(1, len(conditions) + 1))
    return [
        *(f"{jump} pam_succeed_if.so quiet {condition}" for jump, condition in zip(jumps, conditions, strict=True)),
        *ours,
        "optional pam_permit.so",
    ]


def _by_name(condition: str, names: list[str]) -> list[str]:
    """Names that cannot be written for pam_succeed_if(8) are left out: these users are exempt by their uids alone."""
    plain = [name for name in names if name and _PLAIN.issuperset(name)]
    return [f"{condition} {joined}" for joined in _joined(":", plain, LONGEST - 100)]


def _joined(between: str, names: Iterable[str], most: int) -> list[str]:
    """The names in their order, joined into texts of at most `most` characters. A longer name is left out."""
    texts: list[str] = []
    for name in names:
        if texts and len(texts[-1]) + len(name) < most:
            texts[-1] += between + name
        elif len(name) < most:
            texts.append(name)
    return texts


def text(session: Sequence[str]) -> str:
    """The profile's file. `Default: no`, because the installation of another package must not switch it on."""
    between = "".join(f"\t{line}\n" for line in session)
    return (
        "Name: Confine customers to their cgroups (paas-isolate)\n"
        "Default: no\n"
        "Priority: 128\n"
        "Session-Type: Additional\n"
        f"Session:\n{between}"
    )
