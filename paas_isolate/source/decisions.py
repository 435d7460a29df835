"""What an administrator decided by a command, and must outlive a reboot: who is frozen, who may be removed."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.model.account import Fleet
from paas_isolate.source.keep import keep

FILE = "decisions.json"


class Decisions(NamedTuple):
    """`held` are accounts (`alice`) and services (`alice/web`) that are frozen until thawed; `departed` are
    account directories whose removal was accepted and waits for their last process; `said` is the day and the
    digest of the complaint that cron has been told last."""

    held: frozenset[str] = frozenset()
    departed: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()

    def freeze(self, target: str) -> "Decisions":
        return self._replace(held=self.held | {target})

    def thaw(self, target: str) -> "Decisions":
        return self._replace(held=self.held - {target})

    def following(self, fleet: Fleet) -> "Decisions":
        """A freeze goes with its account when that gets a new name."""
        now = {sold.directory: name for name, sold in fleet.accounts.items() if sold.directory != name}
        return self._replace(held=frozenset(_renamed(target, now) for target in self.held)) if now else self

    def without(self, gone: Callable[[str], bool]) -> "Decisions":
        """Nobody inherits a freeze: a later account of the same name begins anew."""
        return self._replace(held=frozenset(target for target in self.held if not gone(target.partition("/")[0])))


def _renamed(target: str, now: Mapping[str, str]) -> str:
    account, slash, service = target.partition("/")
    return f"{now.get(account, account)}{slash}{service}"


def load(state: str) -> Decisions:
    """What was decided; nothing when nothing ever was. HostError when the file is damaged: a freeze that is
    forgotten in silence would set free what somebody stopped on purpose."""
    path = os.path.join(state, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            import json  # a tenth of our own imports, and most machines have never decided anything

            data = json.load(file)
        return Decisions(frozenset(data["held"]), frozenset(data["departed"]), tuple(data["said"]))
    except FileNotFoundError:
        return Decisions()
    except PermissionError:
        return Decisions()  # check and diff of an ordinary user
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"{path} cannot be used: {error}", hint=f"look at it; without it nobody is frozen: rm {path}"
        ) from error


def save(state: str, decisions: Decisions) -> None:
    """Replace what was decided, whole or not at all, and on the disk before anybody acts by it."""
    import json

    plain = {"held": sorted(decisions.held), "departed": sorted(decisions.departed), "said": list(decisions.said)}
    keep(state, FILE, json.dumps(plain, indent=1).encode(), durable=True)
