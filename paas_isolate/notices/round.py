"""One round: look, send what is due, remember."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from paas_isolate.errors import PaasError
from paas_isolate.metering.notices import Due, Told, due
from paas_isolate.model.account import Fleet
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.model.notices import COMMAND, CUSTOMER, MAIL, WEBHOOK
from paas_isolate.notices import memory
from paas_isolate.notices.facts import Look, Place
from paas_isolate.notices.memory import Remembered
from paas_isolate.notices.on_high import RECENT, Commands


class Directories(NamedTuple):
    """Those of the installation."""

    etc: str
    state: str
    run: str


class Unsent(NamedTuple):
    """A notice that was due and was not sent, with the reason."""

    notice: Due
    why: str


class Ended(NamedTuple):
    """What a round did. `sent` of a round that only looks are those that are due."""

    sent: tuple[Due, ...] = ()
    unsent: tuple[Unsent, ...] = ()


@contextmanager
def alone(run: str) -> Iterator[bool]:
    """Whether no other round is at work while the block lasts."""
    descriptor = os.open(
        os.path.join(run, "notices.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


class Round:
    """A round for a fleet whose config.yaml has `metering:`. `warn` is told what is wrong, once while it lasts.
    `commands` starts those of `on_high`."""

    def __init__(
        self,
        fleet: Fleet,
        where: Directories,
        place: Place,
        warn: Callable[[str], None],
        commands: Commands | None = None,
    ) -> None:
        self._fleet, self._where, self._warn = fleet, where, warn
        self._config = fleet.host.metering or MeteringConfig()
        self._remembered = memory.load(where.state, where.run)
        self._failures: dict[str, str] = {}
        self._commands = commands if commands and commands.are_wanted else None
        self._look = Look(fleet, place, self._remembered.cpu, lambda why: self._fail(why, why))

    def looked(self, now: int) -> tuple[list[Due], dict[str, dict[str, Told]]]:
        """The notices that are due at `now` (ms since 1970), without those that a customer does not want, and what is
        to be remembered. Nothing is sent or written."""
        since = now - RECENT if self._commands else 0
        found = self._look.find(self._config.notices, now, since=since)
        told = {key: self._of_accounts(those) for key, those in self._remembered.told.items()}
        notices, after = due(self._config.notices, found, told, now, self._remembered.looked)
        off = memory.switched_off(self._where.state)
        return [each for each in notices if not _is_unwanted(each, off)], after

    def _of_accounts(self, told: Mapping[str, Told]) -> dict[str, Told]:
        """Without accounts that are gone: nobody is told of their end."""
        fleet = self._fleet
        return {name: each for name, each in told.items() if name in fleet.accounts or name in fleet.on_last_good}

    def send(self, now: int) -> Ended:
        """Do it all. OSError where nothing can be remembered: then nothing more is sent."""
        notices, after = self.looked(now)
        if self._commands:
            self._commands.start(self._look.faults, now)
        memory.forget_all_but(self._where.state, {*self._fleet.accounts, *self._fleet.on_last_good})
        sent: list[Due] = []
        unsent: list[Unsent] = []
        dead: dict[str, str] = {}
        self._save(after, now, lasting=False)
        for notice in notices:
            if why := self._sent(notice, now, dead):
                unsent.append(Unsent(notice, why))
                continue
            after[notice.rule.key][notice.account] = notice.after
            self._save(after, now, lasting=True)
            sent.append(notice)
        if unsent or self._remembered.failures:
            self._save(after, now, lasting=True)
        return Ended(tuple(sent), tuple(unsent))

    def _save(self, told: dict[str, dict[str, Told]], now: int, *, lasting: bool) -> None:
        cpu = self._look.cpu_times
        memory.save(
            self._where.state, self._where.run, Remembered(told, now, now, self._failures, cpu), lasting=lasting
        )

    def _fail(self, target: str, why: str) -> None:
        if self._remembered.failures.get(target) != why and self._failures.get(target) != why:
            self._warn(why)
        self._failures[target] = why

    def _sent(self, notice: Due, now: int, dead: dict[str, str]) -> str:
        """Send a notice; why not, '' where it was sent. A target that fails is not tried again in this round."""
        # Imported in rounds that have something to send: they bring smtplib, urllib and Jinja.
        from paas_isolate.notices import letter, send

        rule, account = notice.rule, self._fleet.accounts.get(notice.account)
        machine = letter.Machine(os.uname().nodename, self._config.time_zone)
        said = letter.facts(notice, account, now, machine)
        kind, words = rule.to
        target = {COMMAND: words[0], WEBHOOK: words[0], MAIL: self._config.mail.server}[kind]
        if target in dead:
            return dead[target]
        try:
            if kind == COMMAND:
                send.to_command(words, said)
            elif kind == WEBHOOK:
                send.to_webhook(words[0], said)
            else:
                config = self._config.mail
                to = letter.address_of(words[0], account, config)
                if not to:
                    why = f"{notice.account} has no mail address: `mail:` in the account's file names one"
                    self._fail(notice.account, why)
                    return why
                message = letter.Letters(self._where.etc).mail(said, words[0], to, config, machine)
                send.by_mail(message, to, config, machine.name)
        except send.UnsentError as error:
            dead[error.target] = str(error)
            self._fail(error.target, f"a notice is not sent, and will be tried again: {error}")
            return str(error)
        except PaasError as error:
            self._fail(str(error), str(error))
            return str(error)
        return ""


def _is_unwanted(notice: Due, off: frozenset[str]) -> bool:
    to = notice.rule.to
    return to.kind == MAIL and to.words == (CUSTOMER,) and notice.account in off
