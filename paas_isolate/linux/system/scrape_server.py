"""Serves one text by HTTP/1.1 to whoever scrapes it: one request at a time, each on a connection of its own.

No scraper holds it for longer than RECEIVING and SENDING together. On a port of this machine only users that `may` says
yes to are answered: every customer can connect there.
"""

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.network import inet_diag
from paas_isolate.listening import Place

RECEIVING, SENDING = 2.0, 20.0
"""Seconds in which a request must come, and its answer must be taken."""
LONGEST = 8192
"""Bytes of a request."""
_BACKLOG = 64
_END = b"\r\n\r\n"
_PATHS = ("/metrics", "/")


class Reply(NamedTuple):
    """What is answered to a scrape. `kind` is the Content-Type."""

    body: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK


@contextmanager
def listening(at: Place, *, group: int = -1) -> Iterator[socket.socket]:
    """A listening socket while the block lasts. That of a path is for root and `group` (-1: root alone); it replaces
    one that was left there. HostError where it cannot be made."""
    family = socket.AF_UNIX if at.path else socket.AF_INET6 if ":" in at.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as server:
        try:
            if at.path:
                _listen_at(server, at.path, group)
            else:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((at.address, at.port))
                server.listen(_BACKLOG)
        except OSError as error:
            where = at.path or f"port {at.port} of {at.address}"
            raise HostError(f"{where} cannot be used: {error.strerror}") from error
        try:
            yield server
        finally:
            if at.path:
                with suppress(FileNotFoundError):
                    os.unlink(at.path)


def _listen_at(server: socket.socket, path: str, group: int) -> None:
    """Under another name first, so that nobody finds it before it listens."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "another file is there", path)
    new = f"{path}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(new)
    before = os.umask(0o177)  # at no moment may others connect
    try:
        server.bind(new)
    finally:
        os.umask(before)
    try:
        if group >= 0:
            os.chown(new, -1, group)
            os.chmod(new, 0o660)
        server.listen(_BACKLOG)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise


def serve(server: socket.socket, answer: Callable[[bool], Reply], may: Callable[[int], bool]) -> None:
    """Answer scrapes for ever. `answer` is told whether the scraper takes OpenMetrics; it must not raise. `may` is
    asked for uids on ports; paths have their mode."""
    while True:
        try:
            connection, peer = server.accept()
        except OSError:  # the client is gone, or there is no descriptor for a moment
            time.sleep(0.1)
            continue
        with connection, suppress(OSError):
            if server.family == socket.AF_UNIX or _may(connection, peer, may):
                _answer(connection, answer)
            else:
                _send(connection, _plain(HTTPStatus.FORBIDDEN), with_body=True)


def _may(connection: socket.socket, peer: tuple[str, int], may: Callable[[int], bool]) -> bool:
    here = connection.getsockname()
    uid = inet_diag.uid_of((peer[0], peer[1]), (here[0], here[1]))
    return uid is not None and may(uid)


def _answer(connection: socket.socket, answer: Callable[[bool], Reply]) -> None:
    request = _received(connection)
    if request is None:
        _send(connection, _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), with_body=True)
        return
    first, *headers = request.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        reply = _plain(HTTPStatus.METHOD_NOT_ALLOWED)
    elif path not in _PATHS:
        reply = _plain(HTTPStatus.NOT_FOUND)
    else:
        accepted = [line.partition(":")[2] for line in headers if line.lower().startswith("accept:")]
        reply = answer(any("application/openmetrics-text" in each for each in accepted))
    _send(connection, reply, with_body=method != "HEAD")


def _received(connection: socket.socket) -> bytes | None:
    """The head of the request; None where it is too long. OSError where it does not come in time."""
    deadline = time.monotonic() + RECEIVING
    data = b""
    while _END not in data:
        if len(data) >= LONGEST:
            return None
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        if not (more := connection.recv(LONGEST - len(data))):
            raise ConnectionError
        data += more
    return data.partition(_END)[0]


def _plain(status: HTTPStatus) -> Reply:
    return Reply(f"{status.phrase}\n".encode(), "text/plain; charset=utf-8", status)


def _send(connection: socket.socket, reply: Reply, *, with_body: bool) -> None:
    head = (
        f"HTTP/1.1 {int(reply.status)} {reply.status.phrase}\r\nContent-Type: {reply.kind}\r\n"
        f"Content-Length: {len(reply.body)}\r\nConnection: close\r\n\r\n"
    )
    connection.settimeout(SENDING)
    connection.sendall(head.encode() + (reply.body if with_body else b""))  # its time limit is for all (socket(2))
