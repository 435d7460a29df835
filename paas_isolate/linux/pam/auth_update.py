"""Switching our PAM profile on and off by the distribution's own tool. See pam-auth-update(8)."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from glob import glob

from paas_isolate.errors import HostError
from paas_isolate.linux.pam import profile, stack_files
from paas_isolate.linux.pam.profile import MODULE, NAME
from paas_isolate.linux.pam.stack_files import CONFIG, Files

SAVED = "/var/lib/pam"
PROFILES = "/usr/share/pam-configs"
STACKS = ("common-session", "common-session-noninteractive")
REMAKE = "pam-auth-update --force"
_TOOL = "pam-auth-update"


def is_here() -> bool:
    """Whether pam-auth-update makes the stacks of this machine."""
    return shutil.which(_TOOL) is not None and os.path.exists(f"{CONFIG}/{STACKS[0]}")


def module_file() -> str:
    """The path of our module in the directory of the system's modules; '' when it is not there."""
    candidates = (path.replace("pam_unix.so", MODULE) for path in _unix_modules())
    return next((path for path in candidates if os.path.exists(path)), "")


def _unix_modules() -> list[str]:
    directories = ("/usr/lib/*/security", "/lib/*/security", "/usr/lib64/security", "/lib64/security", "/lib/security")
    return [path for directory in directories for path in glob(f"{directory}/pam_unix.so")]


def rehearse(lines: Sequence[str]) -> dict[str, str]:
    """The text of each of STACKS, by name, as the tool would make it with our lines. It works on a copy; the machine is
    unchanged. HostError when the tool fails or leaves our lines out, as it does when a stack was edited by hand."""
    with tempfile.TemporaryDirectory(prefix="paas-isolate-") as root:
        for directory in (CONFIG, SAVED, PROFILES):
            shutil.copytree(directory, root + directory, symlinks=True)
        stack_files.write(f"{root}{PROFILES}/{NAME}", profile.text(lines).encode())
        output = _run("--root", root, "--enable", NAME, database=f"{root}/debconf")
        return _stacks_with_our_lines(root, output)


def switch_on(lines: Sequence[str]) -> None:
    """Write the profile and enable it. HostError as `rehearse`."""
    stack_files.write(f"{PROFILES}/{NAME}", profile.text(lines).encode())
    _stacks_with_our_lines("", _run("--enable", NAME))


def switch_off() -> None:
    """Remove our lines from the stacks, then the profile. HostError when the lines are still there."""
    output = _run("--remove", NAME)
    if left := stack_files.with_module(_stacks()):
        raise HostError(
            f"{MODULE} is still in {' and '.join(left)}: {output}", hint="remove its lines by hand, then run this again"
        )
    with suppress(FileNotFoundError):
        os.unlink(f"{PROFILES}/{NAME}")


def is_on() -> bool:
    """Whether one of STACKS has a line of ours."""
    return bool(stack_files.with_module(_stacks()))


def _stacks() -> list[str]:
    return [f"{CONFIG}/{name}" for name in STACKS]


def keep() -> Files:
    """The content of every file that the tool may change, for `put_back`."""
    return stack_files.keep([*glob(f"{CONFIG}/common-*"), *glob(f"{SAVED}/*"), f"{SAVED}/seen", f"{PROFILES}/{NAME}"])


def put_back(files: Files) -> None:
    stack_files.put_back(files)


def _stacks_with_our_lines(root: str, output: str) -> dict[str, str]:
    """`output` is what the tool has printed."""
    stacks = {name: stack_files.text(f"{root}{CONFIG}/{name}") for name in STACKS}
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
