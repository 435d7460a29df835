"""Our lines in hosts(5), between two marks. What stands before and behind the marks is not changed by a byte."""

import os
from collections.abc import Sequence

from paas_isolate.errors import HostError
from paas_isolate.replace_file import Durability, replace_file

HOSTS = "/etc/hosts"
BEGIN = b"# BEGIN paas-isolate (every reconcile writes these lines anew)\n"
END = b"# END paas-isolate\n"


class HostsFile:
    def __init__(self, path: str = HOSTS) -> None:
        self._path = os.path.realpath(path)

    def observe(self) -> tuple[str, ...] | None:
        """Our lines without the marks, empty where there are none; None where the marks are damaged. OSError where the
        file cannot be read."""
        try:
            _, ours, _ = _parts(_content(self._path))
        except ValueError:
            return None
        return tuple(ours.decode(errors="replace").splitlines())

    def set(self, lines: Sequence[str]) -> None:
        """Replace our lines; without any the marks go, too. The file is replaced whole, with owner, mode and extended
        attributes of the old one. HostError where the marks are damaged or the file cannot be replaced."""
        old = _content(self._path)
        try:
            before, _, behind = _parts(old)
        except ValueError as wrong:
            raise HostError(f"{self._path} {wrong}", hint=f"take the line with paas-isolate out of {HOSTS}") from None
        if lines and before and not before.endswith(b"\n"):
            before += b"\n"
        ours = b"".join((BEGIN, *(f"{line}\n".encode() for line in lines), END)) if lines else b""
        if (new := before + ours + behind) != old:
            _replace(self._path, new)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before our lines, our lines, and what stands behind them. ValueError where the marks are damaged: one
    is missing, doubled, or in the wrong place."""
    if not content.count(BEGIN) == content.count(END) <= 1:
        raise ValueError("has one of the two marks of paas-isolate, or one of them twice")
    if BEGIN not in content:
        return content, b"", b""
    before, _, rest = content.partition(BEGIN)
    if END not in rest:
        raise ValueError("has the marks of paas-isolate in the wrong order")
    ours, _, behind = rest.partition(END)
    return before, ours, behind


def _replace(path: str, content: bytes) -> None:
    try:
        replace_file(path, content, Durability.CONTENT, mode=0o644, keeps_attributes=True)
    except OSError as error:
        raise HostError(f"{path} cannot be replaced: {error.strerror}") from None
