"""What a request gets that is refused."""

from enum import StrEnum

from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit


class Reason(StrEnum):
    """Why a request is refused, where the exit status does not tell."""

    OTHER = ""
    DENIED = "denied"
    UNKNOWN = "unknown"  # what it is about does not exist, or is not theirs to know of


class RefusedError(PaasError):
    """A request is refused, with these words and this exit status."""

    def __init__(self, words: str, status: int = Exit.ERROR, reason: Reason = Reason.OTHER) -> None:
        super().__init__(*words.split("\n"))
        self.status, self.reason = status, reason
