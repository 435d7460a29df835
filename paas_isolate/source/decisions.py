"""What an administrator decided by a command, and must outlive a reboot: who is frozen or stopped, who may be
removed."""

import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.replace_file import Durability, replace_file

FILE = "decisions.json"


class Decisions(NamedTuple):
    """`held` are accounts (`alice`) and services (`alice/web`) that are frozen until thawed, by the account's
    directory, which a new name does not change; `departed` are account directories whose removal was accepted and
    waits for their last process; `said` is the day and the digest of the complaint that cron has been told last;
    `doors` are kept where logins come in by the PAM module, and cost nothing where they do not; `launcher` keeps
    them for `paas-enter`, whatever becomes of the module; `network` tells that something of ours stands in the
    network, and is to be looked for there also when config.yaml has no `network:` any more. `stopped` are services
    (`alice/web`) that are not to run, `rested` those of them that a customer has stopped, and may start again;
    `scaled` tells how many of one are to run, whatever its file says."""

    frozen: frozenset[str] = frozenset()
    removal_accepted: frozenset[str] = frozenset()
    last_complaint: tuple[str, ...] = ()
    doors: bool = False
    launcher: bool = False
    network: bool = False
    stopped: frozenset[str] = frozenset()
    stopped_by_customer: frozenset[str] = frozenset()
    scaled: Mapping[str, int] = MappingProxyType({})

    @property
    def with_doors(self) -> bool:
        return self.doors or self.launcher

    def freeze(self, target: str) -> "Decisions":
        return self._replace(frozen=self.frozen | {target})

    def thaw(self, target: str) -> "Decisions":
        return self._replace(frozen=self.frozen - {target})

    def stop(self, target: str, *, by_customer: bool = False) -> "Decisions":
        """What an administrator has stopped stays theirs to start."""
        if target in self.stopped and by_customer:
            return self
        rested = self.stopped_by_customer | {target} if by_customer else self.stopped_by_customer - {target}
        return self._replace(stopped=self.stopped | {target}, stopped_by_customer=rested)

    def allow(self, target: str) -> "Decisions":
        return self._replace(stopped=self.stopped - {target}, stopped_by_customer=self.stopped_by_customer - {target})

    def may_start(self, target: str) -> bool:
        """Whether a customer may: not what an administrator has stopped."""
        return target not in self.stopped or target in self.stopped_by_customer

    def order(self, verb: str, target: str, *, by_customer: bool = False) -> "Decisions":
        """What start, stop and restart decide."""
        return self.stop(target, by_customer=by_customer) if verb == "stop" else self.allow(target)

    def scale(self, target: str, number: int | None) -> "Decisions":
        """None: as its file says."""
        others = {name: many for name, many in self.scaled.items() if name != target}
        return self._replace(scaled=others if number is None else {**others, target: number})

    def restricted_to(self, directories: Collection[str]) -> "Decisions":
        """Without those that are gone: nobody inherits a freeze, a later account of the same name begins anew."""

        def there(targets: Collection[str]) -> frozenset[str]:
            return frozenset(target for target in targets if target.partition("/")[0] in directories)

        scaled = {target: self.scaled[target] for target in there(self.scaled)}
        return self._replace(
            frozen=there(self.frozen),
            stopped=there(self.stopped),
            stopped_by_customer=there(self.stopped_by_customer),
            scaled=scaled,
        )


def load(state: str) -> Decisions:
    """What was decided; nothing when nothing ever was. HostError when the file is damaged: a freeze that is
    forgotten in silence would set free what somebody stopped on purpose."""
    path = os.path.join(state, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            import json  # a tenth of our own imports, and most machines have never decided anything

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
        return Decisions()  # check and diff of an ordinary user
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostError(
            f"{path} cannot be used: {error}", hint=f"look at it; without it nobody is frozen: rm {path}"
        ) from error


def save(state: str, decisions: Decisions) -> None:
    """Replace what was decided, whole or not at all, and on the disk before anybody acts by it."""
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
