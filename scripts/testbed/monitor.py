"""QMP: what a person would do to a machine with its power and reset buttons."""

import json
import socket
from pathlib import Path

from testbed.errors import VmError


def tell(path: Path, command: str) -> None:
    """Sends one command, and waits until qemu has taken it."""
    try:
        with socket.socket(socket.AF_UNIX) as door, door.makefile("rw") as lines:
            door.settimeout(10)
            door.connect(str(path))
            lines.readline()
            for word in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": word}) + "\n")
                lines.flush()
                _answer(lines.readline, word)
    except OSError as error:
        raise VmError(f"qemu's monitor at {path}: {error}") from error


def _answer(readline: object, word: str) -> None:
    assert callable(readline)
    while line := readline():
        said = json.loads(line)
        if "return" in said:
            return
        if "error" in said:
            raise VmError(f"qemu refused {word}: {said['error'].get('desc')}")
