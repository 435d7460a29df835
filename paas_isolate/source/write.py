"""Writes and removes specifications for control panels. A file is tried first, then replaced as a whole."""

import hashlib
import os

from paas_isolate.errors import HostError, SpecError
from paas_isolate.model.account import Fleet
from paas_isolate.model.machine import Machine
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.source.files import UnfitError
from paas_isolate.spec.resolve import UserDatabase


def tag(data: bytes) -> str:
    """Names a content of a file, as ETag of RFC 9110 does."""
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def content(directory: SpecDirectory, file: str) -> bytes | None:
    """What is in `file` (`accounts.d/alice.yaml`) now; None where there is none. SpecError where it is one that must
    not be used."""
    place, _, name = file.rpartition("/")
    try:
        with directory.opened(place) as files:
            return files.read(name)[0]
    except FileNotFoundError:
        return None
    except UnfitError as unfit:
        raise SpecError((unfit.complaint,)) from None


def tried(directory: SpecDirectory, file: str, data: bytes, people: UserDatabase, machine: Machine) -> Fleet:
    """All accounts as they would be with `data` in `file`. SpecError where the new file is wrong or makes another one
    wrong (a clash; a plan that no longer fits its accounts). Writes nothing."""
    before = directory.load(people, machine, remember=False)
    after = directory.load(people, machine, remember=False, draft={file: data})
    known = {str(complaint) for complaint in before.complaints if complaint.file != file}
    wrong = tuple(complaint for complaint in after.complaints if not complaint.warning and str(complaint) not in known)
    if wrong:
        raise SpecError(wrong)
    return after


def put(directory: SpecDirectory, file: str, data: bytes, people: UserDatabase, machine: Machine) -> Fleet:
    """Replaces `file` by `data`, unless `tried` raises SpecError; all accounts as they are then. Raises OSError where
    it cannot be written. Returns once it is on the disk."""
    fleet = tried(directory, file, data, people, machine)
    replace_file(os.path.join(directory.etc, file), data, Durability.NAME, makes_directory=True)
    return fleet


def remove(directory: SpecDirectory, file: str) -> None:
    """Removes a file. Raises HostError where there is none."""
    try:
        os.unlink(os.path.join(directory.etc, file))
    except FileNotFoundError as error:
        raise HostError(
            f"{file} is not there", hint=f"ls {os.path.join(directory.etc, os.path.dirname(file))}"
        ) from error
