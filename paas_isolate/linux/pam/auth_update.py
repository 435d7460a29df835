"""Switching our profile on and off, through the distribution's own tool. See pam-auth-update(8)."""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from glob import glob

from paas_isolate.errors import HostError
from paas_isolate.linux.pam.profile import MODULE, NAME
from paas_isolate.replace_file import Durability, replace_file

CONFIG = "/etc/pam.d"
SAVED = "/var/lib/pam"
PROFILES = "/usr/share/pam-configs"
STACKS = ("common-session", "common-session-noninteractive")
_TOOL = "pam-auth-update"

Files = dict[str, bytes | None]
"""Contents by path; None where there is no file."""


def check_supported() -> None:
    """HostError where the stacks are not made by pam-auth-update: families other than Debian's are not tried yet."""
    if shutil.which(_TOOL) is None or not os.path.exists(f"{CONFIG}/{STACKS[0]}"):
        raise HostError(
            "there is no pam-auth-update here; only the PAM stacks of Debian are supported yet",
            hint="without the module logins are swept into their accounts by the next reconcile",
        )


def module_file() -> str:
    """Where our module lies beside the system's own; '' where it does not."""
    ours = (path.replace("pam_unix.so", MODULE) for path in _unix_modules())
    return next((path for path in ours if os.path.exists(path)), "")


def _unix_modules() -> list[str]:
    places = ("/usr/lib/*/security", "/lib/*/security", "/usr/lib64/security", "/lib64/security", "/lib/security")
    return [found for place in places for found in glob(f"{place}/pam_unix.so")]


def rehearse(profile: str) -> dict[str, str]:
    """What the stacks of STACKS would be with this profile, made in a place of its own. HostError where the tool
    refuses, which it does where somebody has changed a stack by hand."""
    with tempfile.TemporaryDirectory(prefix="paas-isolate-") as root:
        for directory in (CONFIG, SAVED, PROFILES):
            shutil.copytree(directory, root + directory, symlinks=True)
        _write(f"{root}{PROFILES}/{NAME}", profile.encode())
        words = _run("--root", root, "--enable", NAME, database=f"{root}/debconf")
        return _made(root, words)


def switch_on(profile: str) -> None:
    _write(f"{PROFILES}/{NAME}", profile.encode())
    _made("", _run("--enable", NAME))


def switch_off() -> None:
    """Our lines out of the stacks, then the profile. HostError where they are there still."""
    words = _run("--remove", NAME)
    left = [name for name in STACKS if MODULE in _text(f"{CONFIG}/{name}")]
    if left:
        files = " and ".join(f"{CONFIG}/{name}" for name in left)
        raise HostError(
            f"{MODULE} is still in {files}: {words}", hint="take its lines out by hand, then run this again"
        )
    with suppress(FileNotFoundError):
        os.unlink(f"{PROFILES}/{NAME}")


def is_on() -> bool:
    """Whether a line of ours stands in any stack that pam-auth-update makes."""
    return any(MODULE in _text(f"{CONFIG}/{name}") for name in STACKS)


def keep() -> Files:
    """Everything that the tool may change."""
    paths = {*glob(f"{CONFIG}/common-*"), *glob(f"{SAVED}/*"), f"{SAVED}/seen", f"{PROFILES}/{NAME}"}
    return {path: _read(path) for path in sorted(paths) if not os.path.isdir(path)}


def put_back(files: Files) -> None:
    """As it was, byte for byte; each file in one step."""
    for path, content in files.items():
        if content is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif _read(path) != content:
            _write(path, content)


def _made(root: str, words: str) -> dict[str, str]:
    made = {name: _text(f"{root}{CONFIG}/{name}") for name in STACKS}
    missing = [name for name, text in made.items() if MODULE not in text]
    if missing:
        raise HostError(
            f"pam-auth-update leaves {' and '.join(missing)} without our lines: {words or 'it does not say why'}",
            hint="put the stacks back as pam-auth-update makes them (pam-auth-update --force), then run this again",
        )
    return made


def _run(*words: str, database: str = "") -> str:
    """What the tool says, in one line. With a `database` it asks and remembers nothing of this machine's."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    if database:
        environment["DEBCONF_DB_OVERRIDE"] = f"File{{{database}}}"
    done = subprocess.run(
        [_TOOL, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
    said = " ".join(f"{done.stdout} {done.stderr}".split())
    if done.returncode:
        raise HostError(f"pam-auth-update {' '.join(words)} failed: {said}")
    return said


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _text(path: str) -> str:
    return (_read(path) or b"").decode(errors="replace")


def _write(path: str, content: bytes) -> None:
    """As others may read it, on the disk before it counts: without these files nobody logs in."""
    replace_file(path, content, Durability.CONTENT, mode=0o644)
