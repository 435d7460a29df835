"""QMP, qemu's control protocol: the power and reset buttons of the machine."""

import json
import socket
from pathlib import Path
from typing import TextIO

from testbed.errors import VmError


def tell(path: Path, command: str, **arguments: str) -> None:
    """Sends one command, and waits until qemu has accepted it. VmError where it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(str(path))
            with monitor.makefile("r") as answers, monitor.makefile("w") as requests:
                answers.readline()
                for word, given in (("qmp_capabilities", {}), (command, arguments)):
                    requests.write(json.dumps({"execute": word, "arguments": given}) + "\n")
                    requests.flush()
                    _wait_for_answer(answers, word)
    except OSError as error:
        raise VmError(f"qemu's monitor at {path}: {error}") from error


def _wait_for_answer(answers: TextIO, word: str) -> None:
    for line in answers:
        answer = json.loads(line)
        if "return" in answer:
            return
        if "error" in answer:
            raise VmError(f"qemu refused {word}: {answer['error'].get('desc')}")
    raise VmError(f"qemu closed the connection instead of answering {word}")
