"""QMP: what a person would do to a machine with its power and reset buttons."""

import json
import socket
from pathlib import Path
from typing import TextIO

from testbed.errors import VmError


def tell(path: Path, command: str, **arguments: str) -> None:
    """Sends one command, and waits until qemu has taken it."""
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(10)
            door.connect(str(path))
            with door.makefile("r") as answers, door.makefile("w") as orders:
                answers.readline()
                for word, given in (("qmp_capabilities", {}), (command, arguments)):
                    orders.write(json.dumps({"execute": word, "arguments": given}) + "\n")
                    orders.flush()
                    _wait_for_answer(answers, word)
    except OSError as error:
        raise VmError(f"qemu's monitor at {path}: {error}") from error


def _wait_for_answer(answers: TextIO, word: str) -> None:
    for line in answers:
        said = json.loads(line)
        if "return" in said:
            return
        if "error" in said:
            raise VmError(f"qemu refused {word}: {said['error'].get('desc')}")
    raise VmError(f"qemu hung up instead of answering {word}")
