"""What a request gets that is refused."""

from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit


class RefusedError(PaasError):
    """A request is refused, with these words and this exit status."""

    def __init__(self, words: str, status: int = Exit.ERROR) -> None:
        super().__init__(*words.split("\n"))
        self.status = status
