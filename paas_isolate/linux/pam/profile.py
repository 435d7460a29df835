"""The profile of pam-auth-update(8) that puts our lines into the stacks of the session.

Who is none of our business passes our module by and lands on the last line: what is wrong with the module, be it
missing, truncated or of another machine, locks neither root nor an exempt administrator out. A customer who has come in
jumps over what the other profiles add, pam_systemd above all: its session scope would be a way out of the tree.

pam-auth-update takes its own jump (`end`) for a change by hand where the same control has another number, and writes 0,
which libpam refuses, where nothing follows: so the jump has a line of its own, and one more line follows.
"""

from collections.abc import Iterable
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
"""Services whose sessions run what a customer wants, and nothing else: pam/module/services.h is made of it."""

REFUSED = "Logins are not possible at the moment. Please contact your hosting provider."

LONGEST = 900
"""Bytes of a line of ours: libpam before 1.6 cuts at 1024 and takes the rest for a line of its own (linux-pam 532)."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-")
_PATH = _PLAIN | {"/"}


class Options(NamedTuple):
    """What stands on the module's line. Uids; `penalty` is the path of a cgroup directory."""

    first_uid: int
    last_uid: int
    exempt: tuple[int, ...]
    penalty: str
    doors: str
    open_on_failure: bool = False
    strangers_to_penalty: bool = False
    """Users of the range whom no account names (without_account of config.yaml)."""

    def words(self) -> list[str]:
        """As the module reads them. The exempt come last, as many as a line holds: whom config.yaml names passes the
        module by without that."""
        words = [f"first_uid={self.first_uid}", f"last_uid={self.last_uid}"]
        words += [f"penalty={self.penalty}", f"doors={self.doors}"]
        words += ["without_account=penalty"] if self.strangers_to_penalty else []
        words += ["on_failure=open"] if self.open_on_failure else []
        for exempt in _joined(",", map(str, self.exempt), LONGEST - 100 - len(" ".join(words)))[:1]:
            words.append(f"exempt={exempt}")
        return words


def options(fleet: Fleet, root: str, doors: str, *, open_on_failure: bool = False) -> Options:
    """What the module is to know of this machine; `root` is the directory of the tree."""
    host = fleet.host
    for path in (root, doors):
        if not _PATH.issuperset(path) or len(path) > LONGEST // 4:
            raise HostError(f"the path {path!r} cannot stand in a PAM stack; expected plain letters, and fewer of them")
    exempt = tuple(sorted(uid for uid in fleet.exempt if host.first_uid <= uid <= host.last_uid))
    strangers = host.without_account == "penalty"
    return Options(host.first_uid, host.last_uid, exempt, f"{root}/{tree.PENALTY}", doors, open_on_failure, strangers)


def lines(of: Options, exempt: tuple[str, ...], module: str = MODULE) -> list[str]:
    """The session lines, without the word `session`. `exempt` are the users and @groups of config.yaml, by name:
    who joins such a group later is exempt at once."""
    passers = [
        f"service notin {':'.join(SERVICES)}",
        f"uid < {of.first_uid}",
        f"uid > {of.last_uid}",
        *_by_name("user in", [name for name in exempt if not name.startswith("@")]),
        *_by_name("user ingroup", [name[1:] for name in exempt if name.startswith("@")]),
    ]
    words = " ".join((module, *of.words()))
    if of.open_on_failure:
        ours = [f"[success=1 perm_denied=die default=ignore] {words}", "[success=1 default=ignore] pam_permit.so"]
    else:
        ours = [
            f"[success=2 ignore=3 perm_denied=die default=ignore] {words}",
            f"optional pam_echo.so {REFUSED}",
            "requisite pam_deny.so",
        ]
    ours.append("[success=end default=ignore] pam_permit.so")
    total = len(passers) + len(ours)
    jumps = (f"[success={total - at} default=ignore]" for at in range(1, len(passers) + 1))
    return [
        *(f"{jump} pam_succeed_if.so quiet {who}" for jump, who in zip(jumps, passers, strict=True)),
        *ours,
        "optional pam_permit.so",
    ]


def _by_name(condition: str, names: list[str]) -> list[str]:
    """Names that pam_succeed_if(8) cannot be told are exempt by their uid alone."""
    plain = [name for name in names if name and _PLAIN.issuperset(name)]
    return [f"{condition} {some}" for some in _joined(":", plain, LONGEST - 100)]


def _joined(between: str, names: Iterable[str], most: int) -> list[str]:
    """The names in their order, in texts of at most so many characters."""
    texts: list[str] = []
    for name in names:
        if texts and len(texts[-1]) + len(name) < most:
            texts[-1] += between + name
        elif len(name) < most:
            texts.append(name)
    return texts


def text(session: list[str]) -> str:
    """The profile's file. Not by default: other packages' installations must not switch it on."""
    between = "".join(f"\t{line}\n" for line in session)
    return (
        "Name: Confine customers to their cgroups (paas-isolate)\n"
        "Default: no\n"
        "Priority: 128\n"
        "Session-Type: Additional\n"
        f"Session:\n{between}"
    )
