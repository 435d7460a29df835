"""Servers of a test's own that receive mails and webhooks."""

import email
import email.policy
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NamedTuple, TypeVar

Server = TypeVar("Server", bound=socketserver.BaseServer)


class Mail(NamedTuple):
    """A mail with its envelope, and its bytes as they came."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.data, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        return str(self.message.get_content())


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks SMTP (RFC 5321). It refuses the recipients in `refused`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.mails: list[Mail] = []
        self.refused: set[str] = set()
        self.address = f"127.0.0.1:{self.server_address[1]}"


class _Smtp(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        sender = ""
        recipients: list[str] = []
        self.say("220 test")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            address = rest.partition("<")[2].partition(">")[0]
            if verb.upper() in ("EHLO", "HELO"):
                self.say("250 test")
            elif verb.upper() == "MAIL":
                sender, recipients = address, []
                self.say("250 ok")
            elif verb.upper() == "RCPT" and address in self.server.refused:
                self.say("550 no such user")
            elif verb.upper() == "RCPT":
                recipients.append(address)
                self.say("250 ok")
            elif verb.upper() == "DATA":
                self.say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                data = b"".join(each.removeprefix(b".") if each.startswith(b"..") else each for each in lines)
                self.server.mails.append(Mail(sender, tuple(recipients), data))
                self.say("250 ok")
            elif verb.upper() == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class HookServer(HTTPServer):
    """Answers `status` to whatever is posted; `location` is where it redirects to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.posted: list[Posted] = []
        self.status, self.location = 204, ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Hook(BaseHTTPRequestHandler):
    server: HookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append(Posted(self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(server: Server) -> Iterator[Server]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def mails() -> AbstractContextManager[MailServer]:
    return _serving(MailServer())


def hooks() -> AbstractContextManager[HookServer]:
    return _serving(HookServer())


@contextmanager
def drips() -> Iterator[int]:
    """A server that sends a byte now and then, without an end. Its port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not ended.wait(0.05):
                    try:
                        connection.send(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        ended.set()
