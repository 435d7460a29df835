"""Switching our PAM profile on and off by the distribution's own tool. See pam-auth-update(8)."""

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
    """HostError when pam-auth-update does not make the stacks of this machine: only Debian's are supported yet."""
    if shutil.which(_TOOL) is None or not os.path.exists(f"{CONFIG}/{STACKS[0]}"):
        raise HostError(
            "there is no pam-auth-update here; only the PAM stacks of Debian are supported yet",
            hint="without the module, the next reconcile moves logins into their accounts",
        )


def module_file() -> str:
    """The path of our module in the directory of the system's modules; '' when it is not there."""
    candidates = (path.replace("pam_unix.so", MODULE) for path in _unix_modules())
    return next((path for path in candidates if os.path.exists(path)), "")


def _unix_modules() -> list[str]:
    directories = ("/usr/lib/*/security", "/lib/*/security", "/usr/lib64/security", "/lib64/security", "/lib/security")
    return [path for directory in directories for path in glob(f"{directory}/pam_unix.so")]


def rehearse(profile: str) -> dict[str, str]:
    """The text of each of STACKS, by name, as the tool would make it with this profile. It works on a copy; the machine
    is unchanged. HostError when the tool fails or leaves our lines out, as it does when a stack was edited by hand."""
    with tempfile.TemporaryDirectory(prefix="paas-isolate-") as root:
        for directory in (CONFIG, SAVED, PROFILES):
            shutil.copytree(directory, root + directory, symlinks=True)
        _write(f"{root}{PROFILES}/{NAME}", profile.encode())
        output = _run("--root", root, "--enable", NAME, database=f"{root}/debconf")
        return _stacks_with_our_lines(root, output)


def switch_on(profile: str) -> None:
    """Write the profile and enable it. HostError as `rehearse`."""
    _write(f"{PROFILES}/{NAME}", profile.encode())
    _stacks_with_our_lines("", _run("--enable", NAME))


def switch_off() -> None:
    """Remove our lines from the stacks, then the profile. HostError when the lines are still there."""
    output = _run("--remove", NAME)
    left = [name for name in STACKS if MODULE in _text(f"{CONFIG}/{name}")]
    if left:
        files = " and ".join(f"{CONFIG}/{name}" for name in left)
        raise HostError(f"{MODULE} is still in {files}: {output}", hint="remove its lines by hand, then run this again")
    with suppress(FileNotFoundError):
        os.unlink(f"{PROFILES}/{NAME}")


def is_on() -> bool:
    """Whether one of STACKS has a line of ours."""
    return any(MODULE in _text(f"{CONFIG}/{name}") for name in STACKS)


def keep() -> Files:
    """The content of every file that the tool may change, for `put_back`."""
    paths = {*glob(f"{CONFIG}/common-*"), *glob(f"{SAVED}/*"), f"{SAVED}/seen", f"{PROFILES}/{NAME}"}
    return {path: _read(path) for path in sorted(paths) if not os.path.isdir(path)}


def put_back(files: Files) -> None:
    """Restore the files that `keep` has read, byte for byte, each in one step."""
    for path, content in files.items():
        if content is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif _read(path) != content:
            _write(path, content)


def _stacks_with_our_lines(root: str, output: str) -> dict[str, str]:
    """`output` is what the tool has printed."""
    stacks = {name: _text(f"{root}{CONFIG}/{name}") for name in STACKS}
    missing = [name for name, text in stacks.items() if MODULE not in text]
    if missing:
        raise HostError(
            f"pam-auth-update leaves {' and '.join(missing)} without our lines: {output or 'it does not say why'}",
            hint="put the stacks back as pam-auth-update makes them (pam-auth-update --force), then run this again",
        )
    return stacks


def _run(*words: str, database: str = "") -> str:
    """Run the tool: its output in one line. With a `database` of its own, it neither reads nor changes this machine's
    debconf(7) database. HostError when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    if database:
        environment["DEBCONF_DB_OVERRIDE"] = f"File{{{database}}}"
    done = subprocess.run(
        [_TOOL, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
    output = " ".join(f"{done.stdout} {done.stderr}".split())
    if done.returncode:
        raise HostError(f"pam-auth-update {' '.join(words)} failed: {output}")
    return output


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _text(path: str) -> str:
    return (_read(path) or b"").decode(errors="replace")


def _write(path: str, content: bytes) -> None:
    """Readable for all. The content is on the disk before the name is: nobody can log in with an empty file."""
    replace_file(path, content, Durability.CONTENT, mode=0o644)
