"""Plain data in a file of ours, with a checksum: marshal may crash the interpreter on damaged bytes (its documentation
says so), and what root has written can still be cut short by a full disk or a power cut.
"""

import marshal
import zlib
from typing import Any


def dumps(kind: str, value: Any) -> bytes:
    """`value` is what marshal knows: tuples, lists, dicts, sets, str, bytes, numbers, None. `kind` names what the file
    holds and its format; change it with the format. ValueError where marshal does not know a value."""
    body = marshal.dumps(value)
    return _header(kind) + len(body).to_bytes(8) + zlib.crc32(body).to_bytes(4) + body


def loads(kind: str, data: bytes) -> Any:
    """What `dumps` was given. ValueError where the data are of another kind, cut short, too long or damaged: they never
    reach marshal then."""
    header = _header(kind)
    start = len(header) + 12
    size, checksum = int.from_bytes(data[len(header) : start - 4]), int.from_bytes(data[start - 4 : start])
    body = data[start:]
    if not data.startswith(header) or not body or len(body) != size or zlib.crc32(body) != checksum:
        raise ValueError(f"no {kind}, or a damaged one")
    return marshal.loads(body)  # noqa: S302  (as root wrote it: see the checksum)


def _header(kind: str) -> bytes:
    return f"paas-isolate {kind} {marshal.version}\n".encode()
