"""Writes and removes specifications for control panels. A file is tried first, then replaced as a whole."""

import os

from paas_isolate.errors import HostError, SpecError
from paas_isolate.model.machine import Machine
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.spec.resolve import UserDatabase


def put(directory: SpecDirectory, file: str, data: bytes, people: UserDatabase, machine: Machine) -> None:
    """Replaces `file` (`accounts.d/alice.yaml`) by `data`. Raises SpecError, and writes nothing, where the new file is
    wrong or makes another one wrong (a clash; a plan that no longer fits its accounts). Raises OSError where it cannot
    be written. Returns once it is on the disk."""
    before = directory.load(people, machine, remember=False)
    after = directory.load(people, machine, remember=False, draft={file: data})
    known = {str(complaint) for complaint in before.complaints if complaint.file != file}
    wrong = tuple(complaint for complaint in after.complaints if not complaint.warning and str(complaint) not in known)
    if wrong:
        raise SpecError(wrong)
    replace_file(os.path.join(directory.etc, file), data, Durability.NAME, makes_directory=True)


def remove(directory: SpecDirectory, file: str) -> None:
    """Removes a file. Raises HostError where there is none."""
    try:
        os.unlink(os.path.join(directory.etc, file))
    except FileNotFoundError as error:
        raise HostError(
            f"{file} is not there", hint=f"ls {os.path.join(directory.etc, os.path.dirname(file))}"
        ) from error
