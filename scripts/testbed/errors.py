"""Errors of the test machine, with what to do."""

from pathlib import Path


class VmError(Exception):
    """The machine itself failed. A command that fails in it is a `Result`, and no exception."""

    def __init__(self, message: str, *, hint: str = "", log: Path | None = None) -> None:
        parts = [message]
        if log is not None:
            parts.append(f"the end of {log}:\n{last_lines(log)}")
        if hint:
            parts.append(f"what to do: {hint}")
        super().__init__("\n".join(parts))


class CommandError(VmError):
    """A command in the guest failed that was run with `check=True`."""


def last_lines(log: Path, *, count: int = 15) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"    ({error})"
    return "\n".join(f"    {line}" for line in lines[-count:])
