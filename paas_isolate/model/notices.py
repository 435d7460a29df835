"""The rules of config.yaml's `metering.notices:`: who is told what, and how often."""

from typing import NamedTuple

FAULTS = {
    "memory killed": "killed",
    "memory slowed": "slowed",
    "processes refused": "refused",
    "cpu throttled": "throttled",
    "io waited": "waited",
    "disk full": "disk",
}
"""The faults of the ledger by the words of a rule (metering.faults.Kind)."""
SHARES = ("cpu", "memory", "processes", "disk")
"""What a rule may compare with its limit."""
STRAY = "stray"
COMMAND, WEBHOOK, MAIL = "command", "webhook", "mail"
ADMINISTRATOR, CUSTOMER = "administrator", "customer"


class Trigger(NamedTuple):
    """What makes a rule hold. `what` is a value of FAULTS: at least `number` of them `within` so many milliseconds; or
    one of SHARES: above `percent` of the limit for all of this time; or STRAY for all of this time."""

    what: str
    within: int
    number: int = 0
    percent: int = 0


class Target(NamedTuple):
    """Where notices go. `words` are those of a command, or one URL, or one mail address; ADMINISTRATOR and CUSTOMER
    stand for the addresses that config.yaml and the account's file name."""

    kind: str
    words: tuple[str, ...]


class NoticeRule(NamedTuple):
    """`when` is the trigger as it is written. `every` is the least time between two notices about one account, in
    milliseconds."""

    when: str
    trigger: Trigger
    to: Target
    every: int = 3_600_000

    @property
    def key(self) -> str:
        """What the rule is remembered by."""
        return " ".join((self.when, "to", self.to.kind, *self.to.words))


class MailConfig(NamedTuple):
    """config.yaml's `metering.mail:`. Addresses without a domain are mailboxes of this machine."""

    server: str = "localhost:25"
    sender: str = "paas-isolate"
    administrator: str = "root"
