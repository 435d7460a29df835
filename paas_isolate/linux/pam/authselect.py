"""Switching our session lines on and off by authselect(8), which makes the stacks of RHEL and its kin.

authselect writes system-auth and password-auth from the templates of a profile, and overwrites what anybody has changed
in them. So our lines go into the templates of a custom profile, which is made from the profile in use and takes all
other files from it by links (authselect-profiles(5)). The name of that profile stands in its first line, for the way
back.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from glob import glob
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.pam import stack_files
from paas_isolate.linux.pam.profile import MODULE, NAME
from paas_isolate.linux.pam.stack_files import CONFIG, Files

MADE = "/etc/authselect"
CUSTOM = f"{MADE}/custom"
SAVED = "/var/lib/authselect"
"""Copies of what authselect has written: `authselect check` compares with them."""

STACKS = ("system-auth", "password-auth")
REMAKE = "authselect select $(authselect current --raw) --force"
_BY_HAND = f"what was edited by hand goes into a profile of your own; then: {REMAKE}"
_TOOL = "authselect"
_TRIAL = f"{NAME}-trial"
_PROFILES = (CUSTOM, "/usr/share/authselect/vendor", "/usr/share/authselect/default")
_ORIGIN = re.compile(r"^# paas-isolate made this of the profile (\S+)\.\n", re.MULTILINE)
_SYSTEMD = re.compile(r"^-?session\s+(?:\[[^]]*\]|\S+)\s+(?:\S*/)?pam_systemd\.so\b", re.IGNORECASE)
_SESSION = re.compile(r"^-?session\s", re.IGNORECASE)


class Selection(NamedTuple):
    """A profile by its id (`sssd`, `custom/ours`), with the features that are on."""

    profile: str
    features: tuple[str, ...]


def is_here() -> bool:
    """Whether authselect makes the stacks of this machine."""
    return shutil.which(_TOOL) is not None and os.path.realpath(f"{CONFIG}/{STACKS[0]}") == f"{MADE}/{STACKS[0]}"


def rehearse(lines: Sequence[str]) -> dict[str, str]:
    """The text of each of STACKS, by name, as authselect would make it with our lines. A profile that is made for it
    and not selected is removed again. HostError when authselect fails, when a stack was edited by hand, or when a
    template has no place for our lines."""
    selected = _selected()
    try:
        _make_profile(_TRIAL, _origin(selected), lines)
        return {name: _generated(name, selected._replace(profile=f"custom/{_TRIAL}")) for name in STACKS}
    finally:
        shutil.rmtree(f"{CUSTOM}/{_TRIAL}", ignore_errors=True)


def switch_on(lines: Sequence[str]) -> None:
    """Make the profile and select it, with the features that are on now. HostError as `rehearse`."""
    selected = _selected()
    _make_profile(NAME, _origin(selected), lines)
    _run("select", f"custom/{NAME}", *selected.features, "--quiet")
    missing = [name for name in STACKS if MODULE not in stack_files.text(f"{CONFIG}/{name}")]
    if missing:
        raise HostError(f"authselect leaves {' and '.join(missing)} without our lines", hint="authselect check")


def switch_off() -> None:
    """Select the profile that ours was made of, with the features that are on now, and remove ours. Stacks that were
    edited by hand are overwritten, for who takes the module out may be locked out by it; authselect keeps a backup of
    them. HostError when authselect fails, or when our lines are still there."""
    if is_on():
        selected = _current()
        force = () if _is_untouched(selected) else ("--force",)
        _run("select", _origin(selected), *selected.features, "--quiet", *force)
    if left := stack_files.with_module(_stacks()):
        raise HostError(
            f"{MODULE} is still in {' and '.join(left)}", hint="authselect select PROFILE; then run this again"
        )
    with suppress(FileNotFoundError):
        shutil.rmtree(f"{CUSTOM}/{NAME}")


def is_on() -> bool:
    """Whether one of STACKS has a line of ours."""
    return bool(stack_files.with_module(_stacks()))


def _stacks() -> list[str]:
    return [f"{CONFIG}/{name}" for name in STACKS]


def keep() -> Files:
    """The content of every file that authselect may change, for `put_back`. Links are left out: it does not change
    those that exist."""
    places = (f"{MADE}/*", f"{SAVED}/*", "/etc/dconf/db/distro.d/20-authselect", "/etc/dconf/db/distro.d/locks/20-*")
    there = [path for place in places for path in glob(place)]
    ours = [f"{CUSTOM}/{NAME}/{name}" for name in STACKS]
    return stack_files.keep([*(path for path in there if not os.path.islink(path)), *ours])


def put_back(files: Files) -> None:
    """Restore the files that `keep` has read, byte for byte, and remove what is there beside them."""
    stack_files.put_back(dict.fromkeys(keep()) | files)
    if not any(content for path, content in files.items() if path.startswith(f"{CUSTOM}/{NAME}/")):
        shutil.rmtree(f"{CUSTOM}/{NAME}", ignore_errors=True)


def with_lines(template: str, lines: Sequence[str]) -> str:
    """The template of a stack with our session lines: before pam_systemd, over which customers jump, so that the lines
    after it still apply to them (pam_unix(8) logs the session); at the end where there is none.

    HostError when the jump over pam_systemd cannot be right: two lines call it, or a feature decides whether one does.
    """
    old = template.splitlines()
    systemd = [number for number, line in enumerate(old) if _SYSTEMD.match(line)]
    if len(systemd) > 1 or any("{" in old[number] for number in systemd):
        where = " and ".join(f"line {number + 1}" for number in systemd)
        raise HostError(
            f"the profile calls pam_systemd.so in {where}; expected one line, without a condition",
            hint="make a profile of your own without the others: authselect create-profile",
        )
    at = systemd[0] if systemd else max((n + 1 for n, line in enumerate(old) if _SESSION.match(line)), default=len(old))
    end = next(number for number, line in enumerate(lines) if "success=end" in line)
    jump = len(lines) - end - 1 + len(systemd)
    ours = [f"session     {line.replace('success=end', f'success={jump}')}" for line in lines]
    return "\n".join([*old[:at], *ours, *old[at:]]) + "\n"


def _selected() -> Selection:
    """What is selected now. HostError when nothing is, or when a stack was edited by hand: authselect would overwrite
    it."""
    selected = _current()
    if not _is_untouched(selected):
        stacks = " or ".join(f"{CONFIG}/{name}" for name in STACKS)
        raise HostError(f"{stacks} is not what authselect makes of {selected.profile}", hint=_BY_HAND)
    return selected


def _current() -> Selection:
    profile, *features = _run("current", "--raw", hint="authselect select PROFILE --force").split()
    return Selection(profile, tuple(features))


def _is_untouched(selected: Selection) -> bool:
    """Whether files and links are as authselect makes them. Its own check ignores the content since 1.4."""
    try:
        _run("check")
    except HostError:
        return False
    return all(_calls(stack_files.text(f"{CONFIG}/{name}")) == _calls(_generated(name, selected)) for name in STACKS)


def _generated(stack: str, of: Selection) -> str:
    return _run("test", of.profile, *of.features, f"--{stack}")


def _calls(text: str) -> list[str]:
    """The lines that call modules. `authselect test` puts a line with the file's name before them, and leaves out the
    comments at the beginning."""
    return [line for line in text.splitlines() if line and not line.startswith(("#", "File "))]


def _origin(selected: Selection) -> str:
    """The profile that ours is made of, or was."""
    if selected.profile != f"custom/{NAME}":
        return selected.profile
    found = _ORIGIN.search(stack_files.text(f"{CUSTOM}/{NAME}/{STACKS[0]}"))
    if not found:
        raise HostError(
            f"{CUSTOM}/{NAME}/{STACKS[0]} does not say which profile it was made of",
            hint="authselect select PROFILE; then run this again",
        )
    return found[1]


def _make_profile(name: str, origin: str, lines: Sequence[str]) -> None:
    """Make a custom profile of the profile `origin`, or make its templates anew. A package that changes the origin's
    templates later does not change ours."""
    source = _directory(origin)
    templates = {stack: with_lines(stack_files.text(f"{source}/{stack}"), lines) for stack in STACKS}
    if not os.path.isdir(f"{CUSTOM}/{name}"):
        links = (f"--symlink={file}" for file in sorted(os.listdir(source)) if file not in STACKS)
        _run("create-profile", name, f"--base-on={origin}", *links)
    for stack, template in templates.items():
        first = f"# paas-isolate made this of the profile {origin}.\n"
        stack_files.write(f"{CUSTOM}/{name}/{stack}", (first + template).encode())


def _directory(profile: str) -> str:
    """The directory of a profile. authselect looks for one that is not custom at the vendor's first."""
    places = (CUSTOM,) if profile.startswith("custom/") else _PROFILES[1:]
    paths = (f"{place}/{profile.removeprefix('custom/')}" for place in places)
    found = next((path for path in paths if os.path.isdir(path)), "")
    if not found:
        raise HostError(f"there is no profile {profile} of authselect", hint="authselect select PROFILE")
    return found


def _run(*words: str, hint: str = "") -> str:
    """What authselect prints. HostError, with what it printed, when it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [_TOOL, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".split())
        raise HostError(f"authselect {' '.join(words)} failed: {said or f'exit status {done.returncode}'}", hint=hint)
    return done.stdout
