"""Writing specifications for panels and their hooks: tried first, then whole in its place, or not at all."""

import os

from paas_isolate.errors import HostError, SpecError
from paas_isolate.model.machine import Machine
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.spec.resolve import UserDatabase


def put(directory: SpecDirectory, file: str, data: bytes, people: UserDatabase, machine: Machine) -> None:
    """Make `file` (`accounts.d/alice.yaml`) say `data`. SpecError, and nothing written, when that would be wrong
    in itself or make anything wrong that is right now (a clash, a plan that no longer fits its accounts)."""
    before = directory.load(people, machine, remember=False)
    after = directory.load(people, machine, remember=False, draft={file: data})
    known = {str(complaint) for complaint in before.complaints if complaint.file != file}
    wrong = tuple(new for new in after.complaints if not new.warning and str(new) not in known)
    if wrong:
        raise SpecError(wrong)
    replace_file(os.path.join(directory.etc, file), data, Durability.NAME, makes_directory=True)


def remove(directory: SpecDirectory, file: str) -> None:
    """Take a file away. HostError when there is none."""
    try:
        os.unlink(os.path.join(directory.etc, file))
    except FileNotFoundError as error:
        raise HostError(
            f"{file} is not there", hint=f"ls {os.path.join(directory.etc, os.path.dirname(file))}"
        ) from error
