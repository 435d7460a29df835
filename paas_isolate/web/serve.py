"""Listens, and runs the application. This is a process without rights: it needs its socket and the login helper's."""

import asyncio
import grp
import inspect
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn

from paas_isolate.errors import HostError
from paas_isolate.web.app import app
from paas_isolate.web.connection import Connection
from paas_isolate.web.guard import Guard
from paas_isolate.web.helper_link import OpenHelperLink
from paas_isolate.web.setting import Setting, hosts

CONNECTIONS = 1500
"""Of all browsers at once; a stream of events is one."""
_DESCRIPTORS = 4096
_HEADERS = 16 * 1024
"""Bytes of the headers of a request."""
_KEEP_ALIVE = 20
"""Seconds that a connection is kept open between two requests."""
_LAST = 3
"""Seconds that answers which have begun get at the end."""


def serve(setting: Setting, ready: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. `ready` is called with where it listens. SIGHUP: the certificate is read anew. HostError
    where it cannot listen."""
    _allow_descriptors()
    secure = bool(setting.certificate) or setting.secure
    made = app(OpenHelperLink(setting.helper), secure=secure, trusts_proxy=setting.behind_proxy)
    config = _config(Guard(made, hosts(setting)), setting)
    with _listening(setting) as listening:
        address = listening.getsockname()
        ready(f"unix:{setting.listen.path}" if setting.listen.path else f"port {address[1]} of {address[0]}")
        try:
            asyncio.run(_serve(uvicorn.Server(config), listening, setting))
        finally:
            if setting.listen.path:
                with suppress(FileNotFoundError):
                    os.unlink(setting.listen.path)


def _config(application: Any, setting: Setting) -> uvicorn.Config:
    """Versions of uvicorn know different options; the one that lacks h11_max_incomplete_event_size has h11's own
    bound, which is the same."""
    wanted: dict[str, Any] = {
        "loop": "asyncio",
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        "interface": "asgi3",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "limit_concurrency": CONNECTIONS,
        "timeout_keep_alive": _KEEP_ALIVE,
        "timeout_graceful_shutdown": _LAST,
        "h11_max_incomplete_event_size": _HEADERS,
        "ssl_certfile": setting.certificate or None,
        "ssl_keyfile": setting.key or None,
    }
    known = inspect.signature(uvicorn.Config).parameters
    config = uvicorn.Config(application, **{name: value for name, value in wanted.items() if name in known})
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise HostError(f"the certificate cannot be used: {error}", hint=f"look at {setting.certificate}") from error
    return config


async def _serve(server: uvicorn.Server, listening: socket.socket, setting: Setting) -> None:
    if (context := server.config.ssl) is not None:
        renew = lambda: context.load_cert_chain(setting.certificate, setting.key)  # noqa: E731
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew)
    await server.serve(sockets=[listening])


def _listening(setting: Setting) -> socket.socket:
    at = setting.listen
    family = socket.AF_UNIX if at.path else socket.AF_INET6 if ":" in at.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if at.path:
            _bind_path(listening, setting)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((at.address, at.port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        where = at.path or f"port {at.port} of {at.address}"
        raise HostError(f"{where} cannot be used: {error.strerror}") from error
    return listening


def _bind_path(listening: socket.socket, setting: Setting) -> None:
    """What was left there is replaced. Nobody can connect before its mode is set."""
    path = setting.listen.path
    with suppress(FileNotFoundError):
        os.unlink(path)
    before = os.umask(0o177)
    try:
        listening.bind(path)
    finally:
        os.umask(before)
    if setting.group:
        try:
            os.chown(path, -1, grp.getgrnam(setting.group).gr_gid)
        except KeyError:
            raise HostError(f"there is no group {setting.group}") from None
        os.chmod(path, 0o660)


def _allow_descriptors() -> None:
    """The soft limit is 1,024 by default, for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
