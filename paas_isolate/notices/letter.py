"""A notice as data for programs, and as a mail in the reader's words, by templates that root may replace."""

import os
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from paas_isolate.errors import HostError
from paas_isolate.metering.notices import Due
from paas_isolate.model.account import Account
from paas_isolate.model.notices import ADMINISTRATOR, CUSTOMER, MailConfig
from paas_isolate.text import escaped

OWN = "notices.d"
"""The directory in /etc/paas-isolate whose templates replace ours, by name."""
_OURS = os.path.join(os.path.dirname(__file__), "templates")
_SUBJECT = 200
"""Characters of a subject."""


class Machine(NamedTuple):
    """This machine's name, and the time zone of the times in mails."""

    name: str
    zone: str


def facts(notice: Due, account: Account | None, now: int, machine: Machine) -> dict[str, Any]:
    """For JSON and templates. Times are seconds since the epoch."""
    trigger = notice.rule.trigger
    return {
        "account": notice.account,
        "owner": account.owner if account else "",
        "plan": (account.plan if account else None) or "",
        "host": machine.name,
        "when": notice.rule.when,
        "what": trigger.what,
        "phase": str(notice.phase),
        "figure": notice.figure,
        "threshold": trigger.percent or trigger.number or 1,
        "within_seconds": trigger.within // 1000,
        "since": notice.since // 1000,
        "time": now // 1000,
    }


def address_of(word: str, account: Account | None, config: MailConfig) -> str:
    """The address that a rule's word stands for; '' where the customer has none."""
    if word == ADMINISTRATOR:
        return config.administrator
    if word != CUSTOMER:
        return word
    if account is None:
        return ""
    return account.mail or (account.owner if _is_mailbox(account.owner) else "")


def _is_mailbox(user: str) -> bool:
    """Whether a user's name is an address as it stands: `DOMAIN\\user` is none."""
    return all(letter.isascii() and (letter.isalnum() or letter in "._+-") for letter in user)


class Letters:
    """Writes mails. `etc` is /etc/paas-isolate."""

    def __init__(self, etc: str) -> None:
        loader = FileSystemLoader([os.path.join(etc, OWN), _OURS])
        self._environment = Environment(  # noqa: S701  (plain text: nothing is HTML)
            loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        )

    def mail(self, said: dict[str, Any], word: str, to: str, config: MailConfig, machine: Machine) -> EmailMessage:
        """The mail. The first line of the template is the subject. Names are escaped, so that none begins a line.
        HostError where a template of root's is wrong."""
        name = "customer.txt.j2" if word == CUSTOMER else "administrator.txt.j2"
        words = {key: escaped(value) if isinstance(value, str) else value for key, value in said.items()}
        try:
            text = self._environment.get_template(name).render(
                **words, began=_when(said["since"], machine.zone), now=_when(said["time"], machine.zone)
            )
        except (TemplateError, TypeError, ValueError, OSError) as error:
            raise HostError(f"{OWN}/{name} cannot be used: {error}") from error
        subject, _, body = text.partition("\n")
        message = EmailMessage()
        message["From"] = config.sender
        message["To"] = to
        message["Subject"] = escaped(subject)[:_SUBJECT]
        message["Date"] = formatdate(said["time"], localtime=False)
        message["Message-ID"] = make_msgid(domain=machine.name if _is_mailbox(machine.name) else "localhost")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine replies
        message.set_content(body.lstrip("\n"))
        return message


def _when(seconds: int, zone: str) -> str:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    try:
        moment = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%d %H:%M %Z")
