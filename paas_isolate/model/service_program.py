"""The program of a service that paas-isolate runs: as the YAML says it, and as a process is started from it.

`None`, '' and an empty mapping say nothing: then the plan's value holds, or that of DEFAULT.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

ALWAYS, ON_FAILURE, NEVER = "always", "on-failure", "never"

LOG_MAX, LOG_KEEP = 10 << 20, 3
"""Bytes of a log before it is rotated, and how many rotated ones are kept."""


class Health(NamedTuple):
    """The health check: a command that succeeds while the service is healthy. `every` is the interval in milliseconds;
    `failures` in a row make the service unhealthy."""

    run: str
    every: int = 30_000
    failures: int = 3


class Log(NamedTuple):
    """A log is rotated at `max` bytes, and `keep` rotated ones are kept."""

    max: int = LOG_MAX
    keep: int = LOG_KEEP


class Failure(NamedTuple):
    """How a failure is reported: to a mail address, by a command; '' where not."""

    mail: str = ""
    run: str = ""

    @property
    def is_wanted(self) -> bool:
        return bool(self.mail or self.run)


class ServiceProgram(NamedTuple):
    """The command of a service, and how it is run. `stop_timeout` is in milliseconds; `schedule` in the notation of
    crontab(5); `rlimits` by name without RLIMIT_, -1 for unlimited; `umask` in octal digits."""

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
        """This one, with the plan's values where it says nothing. environment and rlimits are merged name by name."""
        pairs = zip(self._fields, self, plan, strict=True)
        merged: dict[str, Any] = {name: of_plan if own in _NOTHING else own for name, own, of_plan in pairs}
        merged["environment"] = {**plan.environment, **self.environment}
        merged["rlimits"] = {**plan.rlimits, **self.rlimits}
        return ServiceProgram(**merged)

    def complete(self) -> "ServiceProgram":
        """This one, with the DEFAULT values where it says nothing."""
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
    """Everything that a program is started with. `command` is a line for sh(1); `directory`, `environment_file` and
    `log` are paths that are opened as the user. `log_max` is in bytes. `info_env` are variables whose change does not
    restart the program."""

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
    """Where the program should listen on `port`: () for any address. Port 0: it need not listen."""
    view: str = ""
    """The name of the account's view, '' where it has none. A changed view holds for programs that start after it."""
    last_try: bool = False
    """Whether a failure of this start is the last: the report then says that it is not started again."""
    called: str = ""
    """The user's name now, where `user` was renamed in passwd(5); '' otherwise."""
    is_job: bool = False
    """Whether it has a schedule. A run that could not start is then reported like one that failed, for the next one
    comes only at its time."""

    @property
    def digest(self) -> str:
        """A hash of all that requires a restart when it changes."""
        from hashlib import blake2b  # the import of OpenSSL is slow: only machines with services need it

        text = repr(self._replace(info_env=(), view="", last_try=False, called="", is_job=False))
        text = text.removesuffix(_NEWER) + ")"  # the text of older versions, so that an upgrade restarts nothing
        return blake2b(text.encode(), digest_size=12).hexdigest()
