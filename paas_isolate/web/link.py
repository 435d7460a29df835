"""How the pages and the interface ask the daemon: through the connection of one login."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol


class AskError(Exception):
    """The daemon refuses. `status` is an exit status (exits.py), `complaints` are the mistakes of a specification:
    file, text, line, column, key, warning. `reason` is one of refusal.Reason, as a word."""

    def __init__(
        self, words: str, status: int, complaints: tuple[Mapping[str, Any], ...] = (), reason: str = ""
    ) -> None:
        super().__init__(words)
        self.words, self.status, self.complaints, self.reason = words, status, complaints, reason


class LinkClosedError(Exception):
    """The connection has ended: the daemon was restarted, or the login is over."""


class Link(Protocol):
    """The connection of one login."""

    @property
    def is_closed(self) -> bool: ...

    async def ask(
        self, verb: str, about: str = "", options: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        """What the daemon tells. AskError where it refuses, LinkClosedError where it is gone."""
        ...

    def events(self, after: str = "") -> AsyncIterator[dict[str, Any]]:
        """Events as they happen, after the answer that says which ones were missed."""
        ...

    async def close(self) -> None: ...
