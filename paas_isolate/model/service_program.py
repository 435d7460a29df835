"""What of a service paas-isolate runs itself: as the YAML says it, and what of it a process is told when it begins.

`None` and '' say nothing: the plan's value holds then, or the default of `Work.complete`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

ALWAYS, ON_FAILURE, NEVER = "always", "on-failure", "never"

LOG_MAX, LOG_KEEP = 10 << 20, 3
"""Bytes of a log before it is put aside, and how many of those stay."""


class Health(NamedTuple):
    """A command that succeeds while the service is well; milliseconds from one to the next; how many failures in a
    row make it unwell."""

    run: str
    every: int = 30_000
    failures: int = 3


class Log(NamedTuple):
    """`max` in bytes; `keep` older ones."""

    max: int = LOG_MAX
    keep: int = LOG_KEEP


class Failure(NamedTuple):
    """Who hears of a job that failed: an address of mail, a command."""

    mail: str = ""
    run: str = ""

    @property
    def is_wanted(self) -> bool:
        return bool(self.mail or self.run)


class ServiceProgram(NamedTuple):
    """The command of a service, and how it is kept alive. `stop_timeout` in milliseconds; `schedule` in the notation
    of crontab(5); `rlimits` by name without RLIMIT_, -1 for unlimited; `umask` in octal digits."""

    run: str = ""
    directory: str = ""
    environment: Mapping[str, str] = MappingProxyType({})
    environment_file: str = ""
    restart: str = ""
    stop_timeout: int | None = None
    health: Health | None = None
    schedule: str = ""
    replicas: int | None = None
    umask: str = ""
    rlimits: Mapping[str, int] = MappingProxyType({})
    no_new_privs: bool | None = None
    log: Log | None = None
    on_failure: Failure | None = None

    def merged_over(self, plan: "ServiceProgram") -> "ServiceProgram":
        """With the plan's values where this says nothing; environment and rlimits name by name."""
        pairs = zip(self._fields, self, plan, strict=True)
        merged: dict[str, Any] = {name: theirs if own in _NOTHING else own for name, own, theirs in pairs}
        merged["environment"] = {**plan.environment, **self.environment}
        merged["rlimits"] = {**plan.rlimits, **self.rlimits}
        return ServiceProgram(**merged)

    def complete(self) -> "ServiceProgram":
        """With the defaults in the place of what nobody says."""
        return self.merged_over(DEFAULT)

    @property
    def says_nothing(self) -> bool:
        return all(value in _NOTHING for value in self)


_NOTHING: tuple[object, ...] = (None, "", {})

NO_WORK = ServiceProgram()
DEFAULT = ServiceProgram(
    directory="~",
    restart=ALWAYS,
    stop_timeout=10_000,
    replicas=1,
    umask="022",
    no_new_privs=False,
    log=Log(),
    on_failure=Failure(),
)


_NEWER = ", called='', is_job=False)"


class Launch(NamedTuple):
    """All that a process is begun with. `command` is a line for sh(1); `directory`, `environment_file` and `log` are
    paths that are opened as the user. `told` are variables that may change without a new start."""

    account: str
    service: str
    number: int
    user: str
    uid: int
    command: str
    directory: str
    environment: tuple[tuple[str, str], ...] = ()
    environment_file: str = ""
    log: str = ""
    log_max: int = LOG_MAX
    log_keep: int = LOG_KEEP
    umask: str = "022"
    rlimits: tuple[tuple[str, int], ...] = ()
    no_new_privs: bool = False
    health: Health | None = None
    on_failure: Failure = Failure()
    info_env: tuple[tuple[str, str], ...] = ()
    port: int = 0
    addresses: tuple[str, ...] = ()
    """Where it is to listen: on any address where the account has none; nowhere where there is no port."""
    view: str = ""
    """The name of the account's view, '' where it has none: one that changes reaches what begins after it."""
    last_try: bool = False
    """Whether the customer is to be told, where it fails, that it is not started again."""
    called: str = ""
    """What the user is called now, where `user` is the name of nobody any more."""
    is_job: bool = False
    """Whether a run that could not begin is told like one that failed: another comes only when it is time again."""

    @property
    def digest(self) -> str:
        """What tells a changed command from the one that runs."""
        from hashlib import blake2b  # only a machine with services of its own pays for OpenSSL's import

        text = repr(self._replace(info_env=(), view="", last_try=False, called="", is_job=False))
        text = text.removesuffix(_NEWER) + ")"  # as it was before there were these: an upgrade starts nothing anew
        return blake2b(text.encode(), digest_size=12).hexdigest()
