"""What was decided by a command and must outlive a reboot: which accounts and services are frozen or stopped, which
accounts may be removed."""

import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.replace_file import Durability, replace_file

FILE = "decisions.json"

_HINT = (
    "mend it, or restore it from a backup. The last resort is rm {}: then the next reconcile undoes every freeze, stop "
    "and scale, and logins by PAM need paas-isolate pam install again"
)


class Decisions(NamedTuple):
    """A target is an account (`alice`) or a service (`alice/web`). It is named by the account's directory, which stays
    the same when the account is renamed."""

    frozen: frozenset[str] = frozenset()
    """Targets that stay frozen until they are thawed."""
    removal_accepted: frozenset[str] = frozenset()
    """Account directories that may be removed as soon as their last process has ended."""
    last_complaint: tuple[str, ...] = ()
    """The day and the digest of what `--cron` printed last."""
    doors: bool = False
    """Whether doors are made for the PAM module."""
    launcher: bool = False
    """Whether doors are made for `paas-enter`, with or without the PAM module."""
    network: bool = False
    """Whether something of ours is in the network. It is looked for even after config.yaml has lost its `network:`."""
    stopped: frozenset[str] = frozenset()
    """Services that must not run."""
    stopped_by_customer: frozenset[str] = frozenset()
    """Those of `stopped` that the customer has stopped, and may start again."""
    scaled: Mapping[str, int] = MappingProxyType({})
    """By service, how many replicas run in the place of what its file says."""

    @property
    def with_doors(self) -> bool:
        return self.doors or self.launcher

    def freeze(self, target: str) -> "Decisions":
        return self._replace(frozen=self.frozen | {target})

    def thaw(self, target: str) -> "Decisions":
        return self._replace(frozen=self.frozen - {target})

    def stop(self, target: str, *, by_customer: bool = False) -> "Decisions":
        """A customer's stop changes nothing where the service is stopped already: only an administrator may start what
        an administrator has stopped."""
        if target in self.stopped and by_customer:
            return self
        theirs = self.stopped_by_customer | {target} if by_customer else self.stopped_by_customer - {target}
        return self._replace(stopped=self.stopped | {target}, stopped_by_customer=theirs)

    def allow(self, target: str) -> "Decisions":
        """The service may run again."""
        return self._replace(stopped=self.stopped - {target}, stopped_by_customer=self.stopped_by_customer - {target})

    def may_start(self, target: str) -> bool:
        """Whether a customer may start it. They may not where an administrator has stopped it."""
        return target not in self.stopped or target in self.stopped_by_customer

    def order(self, verb: str, target: str, *, by_customer: bool = False) -> "Decisions":
        """`verb` is start, stop or restart."""
        return self.stop(target, by_customer=by_customer) if verb == "stop" else self.allow(target)

    def scale(self, target: str, number: int | None) -> "Decisions":
        """Run `number` replicas; None: as many as the file says."""
        others = {name: count for name, count in self.scaled.items() if name != target}
        return self._replace(scaled=others if number is None else {**others, target: number})

    def restricted_to(self, directories: Collection[str]) -> "Decisions":
        """Forgets all other accounts, so that a later account of the same name is not frozen or stopped."""

        def kept(targets: Collection[str]) -> frozenset[str]:
            return frozenset(target for target in targets if target.partition("/")[0] in directories)

        scaled = {target: self.scaled[target] for target in kept(self.scaled)}
        return self._replace(
            frozen=kept(self.frozen),
            stopped=kept(self.stopped),
            stopped_by_customer=kept(self.stopped_by_customer),
            scaled=scaled,
        )


def load(state: str) -> Decisions:
    """The decisions in STATE/decisions.json; empty where there is no file, or where the caller may not read it. Raises
    HostError where the file is damaged, for otherwise a freeze would end without a word."""
    path = os.path.join(state, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            import json  # a tenth of our import time; most machines have no such file

            data = json.load(file)
        return Decisions(
            frozenset(data["held"]),
            frozenset(data["departed"]),
            tuple(data["said"]),
            doors=data.get("doors") is True,
            launcher=data.get("launcher") is True,
            network=data.get("network") is True,
            stopped=frozenset(data.get("stopped", ())),
            stopped_by_customer=frozenset(data.get("rested", ())),
            scaled={str(target): int(number) for target, number in data.get("scaled", {}).items()},
        )
    except FileNotFoundError:
        return Decisions()
    except PermissionError:
        return Decisions()  # check and diff as an ordinary user
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror or error}", hint=_HINT.format(path)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HostError(f"{path} is damaged: {_what(error)}", hint=_HINT.format(path)) from error


def _what(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"its key {error} is missing"
    return f"it is not JSON ({error})" if isinstance(error, ValueError) else f"its content is wrong ({error})"


def save(state: str, decisions: Decisions) -> None:
    """Replaces the file as a whole. Returns once it is on the disk. Raises OSError where it cannot be written."""
    import json

    plain = {
        "held": sorted(decisions.frozen),
        "departed": sorted(decisions.removal_accepted),
        "said": list(decisions.last_complaint),
        "doors": decisions.doors,
        "launcher": decisions.launcher,
        "network": decisions.network,
        "stopped": sorted(decisions.stopped),
        "rested": sorted(decisions.stopped_by_customer),
        "scaled": dict(sorted(decisions.scaled.items())),
    }
    data = json.dumps(plain, indent=1).encode()
    replace_file(os.path.join(state, FILE), data, Durability.NAME, makes_directory=True)
