"""The PAM files of Debian, with our lines where pam-auth-update(8) puts them."""

from collections.abc import Sequence
from pathlib import Path

STANDIN = "BESIDE"
"""A variable that a module after ours sets: pam_systemd stands there on real machines, and customers jump over it."""

_AUTH = (
    "auth [success=1 default=ignore] pam_unix.so nullok",
    "auth requisite pam_deny.so",
    "auth required pam_permit.so",
)
_ACCOUNT = (
    *("account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so", "account requisite pam_deny.so"),
    "account required pam_permit.so",
)
_SESSION = ("[default=1] pam_permit.so", "requisite pam_deny.so", "required pam_permit.so", "required pam_unix.so")
_BESIDE = "optional pam_env.so readenv=1 envfile=/run/sshd/environment user_readenv=0"
_SERVICE = ("@include common-auth", "@include common-account", "session required pam_loginuid.so")
_SSHD = (
    *("account required pam_nologin.so", "session optional pam_keyinit.so force revoke", "@include common-session"),
    "session required pam_limits.so",
)


def lay(pam: Path, lines: Sequence[str]) -> None:
    """`lines` are the profile's, without the word `session`."""
    interactive, noninteractive = (*_settled(lines, 1), _BESIDE), _settled(lines, 0)
    files: dict[str, Sequence[str]] = {
        "common-auth": _AUTH,
        "common-account": _ACCOUNT,
        "common-session": [f"session {line}" for line in (*_SESSION, *interactive)],
        "common-session-noninteractive": [f"session {line}" for line in (*_SESSION, *noninteractive)],
        "sshd": (*_SERVICE, *_SSHD),
        "cron": (*_SERVICE, "@include common-session-noninteractive", "session required pam_limits.so"),
        "sudo": (*_SERVICE[:2], "session required pam_limits.so", "@include common-session-noninteractive"),
        "other": ("auth required pam_deny.so", "account required pam_deny.so", "session required pam_deny.so"),
    }
    pam.mkdir(exist_ok=True)
    for name, text in files.items():
        (pam / name).write_text("\n".join(text) + "\n")


def _settled(lines: Sequence[str], following: int) -> list[str]:
    """`end` jumps over what is left of the profile, and `following` lines of others."""
    last = len(lines) - 1
    return [line.replace("success=end", f"success={last - at + following}") for at, line in enumerate(lines)]
