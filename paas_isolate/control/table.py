"""The verbs: one table that the daemon, the program's commands, the page and the HTTP interface share.

What is not in the table cannot be asked for, and each row says who may ask. The daemon enforces it; all others only
show it.
"""

import re
from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.control.logins import NAME_LONGEST, Refusal
from paas_isolate.control.refusal import RefusedError
from paas_isolate.exits import Exit
from paas_isolate.spec.names import NAME, NAME_EXPECTED, SIZE_CAP


class Access(Enum):
    """Who may ask. Administrators are root and the users that config.yaml names."""

    ANYBODY = "anybody"
    CUSTOMER = "a customer about their own account; an administrator about each"
    ADMINISTRATOR = "an administrator"
    ROOT = "a program of root's, whose connection was not narrowed"


class Scope(IntEnum):
    """What a connection may do. Each includes those before it."""

    READ = 0
    OPERATE = 1
    ADMINISTER = 2


class About(Enum):
    """What `about` of a request names."""

    NOTHING = "nothing"
    ACCOUNT = "an account that exists; a customer may leave it out"
    NAME = "an account that need not exist"
    PLAN = "a plan that need not exist"


class Parameter(NamedTuple):
    """An option of a request, whose value is a string. `option` is the command's option that it becomes; '' where it is
    a word of the command, or where the daemon answers. It must match `pattern` as a whole."""

    name: str
    meaning: str
    pattern: str
    expected: str
    option: str = ""
    required: bool = False
    example: str = ""


class Verb(NamedTuple):
    """A row. `method` and `path` are the HTTP interface's, '' where the verb is none of it; a `{service}` in the path
    is the parameter of this name.

    `command`: the words of the program's command that answers, run by the worker process as root; {account} and
    {service} are replaced, and options follow. None: the daemon answers itself. `for_customer` are options that the
    command gets when a customer asks, `for_others` when somebody else does. `body` is what the body of a request is, ''
    for none, and `body_cap` its most bytes. `patience` is how many seconds an answer may take. `later`: over HTTP the
    answer is an operation to look at later.
    """

    name: str
    access: Access
    about: About
    needs: Scope
    summary: str
    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    command: tuple[str, ...] | None = None
    for_customer: tuple[str, ...] = ()
    for_others: tuple[str, ...] = ()
    body: str = ""
    body_cap: int = SIZE_CAP
    patience: float = 5.0
    later: bool = False


SERVICE = Parameter("service", "A service of the account.", NAME.pattern, NAME_EXPECTED, required=True, example="web")
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_FROM = Parameter("from", "The first day.", _DAY, "a day such as 2026-10-25", "--from", example="2026-10-25")
_TO = Parameter(
    "to", "The last day, which is included.", _DAY, "a day such as 2026-10-25", "--to", example="2026-10-31"
)
_SINCE = Parameter("since", "The first day (two days back).", _DAY, "a day such as 2026-10-25", "--since")
_PERIOD = Parameter(
    "period",
    "A period.",
    rf"today|yesterday|day|week|month|[0-9]{{4}}-[0-9]{{2}}|{_DAY}",
    "day, week, month, 2026-10 or 2026-10-25",
    "--period",
    example="day",
)
_BY = Parameter("by", "A row for each.", "hour|day|month|leaf", "hour, day, month or leaf", "--by")
_AT = Parameter(
    "at",
    "Around this time.",
    rf"(?:{_DAY}[ T])?[0-9]{{2}}:[0-9]{{2}}",
    "a time such as 14:05 or 2026-11-28 14:05",
    "--at",
    example="14:05",
)
_METRIC = Parameter(
    "metric",
    "Only this.",
    "cpu|memory|io|operations|processes|pressure|network",
    "cpu, memory, io, operations, processes, pressure or network",
    "--metric",
)
_KIND = Parameter(
    "kind",
    "Only faults of this kind.",
    "killed|slowed|refused|throttled|waited|disk",
    "killed, slowed, refused, throttled, waited or disk",
    "--kind",
)
_LIMIT = Parameter("limit", "The most rows of one answer (100).", r"[1-9][0-9]{0,2}", "1 to 999", "--limit")
_PAGE = "--limit=100"
"""Of commands that print all rows without it. `limit` of a request stands behind it, and wins."""
_AFTER = Parameter(
    "after",
    "Rows after this one: `next` of the answer before.",
    r"[\x21-\x7e]{1,200}",
    "`next` of an answer",
    "--after",
)
_SEARCH = Parameter(
    "search",
    "Only accounts whose name, plan or owner contains this.",
    r"[A-Za-z0-9._@-]{1,64}",
    "a part of a name",
    "--search",
)
_SORT = Parameter(
    "sort",
    "By what, the largest first; by name without.",
    "cpu|memory|processes|read|written|pressure|faults",
    "cpu, memory, processes, read, written, pressure or faults",
    "--sort",
)
_MONTH = Parameter(
    "month", "The month (the last that has ended).", r"[0-9]{4}-[0-9]{2}", "a month such as 2026-10", "--month"
)
_LINES = Parameter("lines", "The last lines (50).", r"[1-9][0-9]{0,2}", "1 to 999", "--lines")
_NUMBER = Parameter("number", "Number of the replica (1).", r"[1-9][0-9]?", "1 to 99", "--number")
_REPLICAS = Parameter(
    "replicas", "How many, or default.", r"[1-9][0-9]?|100|default", "1 to 100, or default", required=True, example="2"
)
_STATE = Parameter("state", "on or off.", "on|off", "on or off", required=True, example="off")
_DRY_RUN = Parameter("dry-run", "1: only say what would be done.", "1", "1", "--dry-run")
_IF_MATCH = Parameter(
    "if-match",
    "Only if the file still has this tag (ETag); * : if there is one.",
    r'\*|"[0-9a-f]{16,64}"',
    "a tag",
    "--if-match",
)
_IF_NONE_MATCH = Parameter("if-none-match", "*: only if there is no file.", r"\*", "*", "--if-none-match")
_PLAN = Parameter("plan", "Replay this plan over the past.", NAME.pattern, NAME_EXPECTED, "--plan")
_EVENTS_AFTER = Parameter("after", "Events after this id.", r"[0-9a-f]{1,32}\.[0-9]{1,12}", "the id of an event")
_ONE_ACCOUNT = Parameter("account", "Only this account.", NAME.pattern, NAME_EXPECTED, example="alice")
_REMOVE = Parameter("remove", "1: also remove many accounts at once whose files are gone.", "1", "1")
_WHY = Parameter("why", "Why.", "|".join(Refusal), ", ".join(Refusal), required=True)
_USER = Parameter("user", "Who, if it is a user.", rf"[^\x00-\x1f\x7f]{{0,{NAME_LONGEST}}}", "a user's name")
_ADDRESS = Parameter("from", "Where they are.", "[0-9a-f.:]{0,45}", "an IP address")
_TOKEN_ID = Parameter("token", "The token's id.", r"[0-9a-f]{8}", "eight hexadecimal digits", required=True)

_ANYBODY, _CUSTOMER, _ADMINISTRATOR = Access.ANYBODY, Access.CUSTOMER, Access.ADMINISTRATOR
_NOTHING, _ACCOUNT = About.NOTHING, About.ACCOUNT
_READ, _OPERATE, _ADMINISTER = Scope.READ, Scope.OPERATE, Scope.ADMINISTER
_OF_ACCOUNT = "/v1/accounts/{account}"
_OF_SERVICE = f"{_OF_ACCOUNT}/services/{{service}}"
_MINUTE = 60.0

VERBS: tuple[Verb, ...] = (
    Verb("ping", _ANYBODY, _NOTHING, _READ, "The version of the daemon.", "GET", "/v1"),
    Verb("who", _ANYBODY, _NOTHING, _READ, "Who asks, and what they may do.", "GET", "/v1/who"),
    Verb(
        "events",
        _CUSTOMER,
        _NOTHING,
        _READ,
        "Faults, what passes have changed, and refused logins (administrators), as it happens.",
        "GET",
        "/v1/events",
        (_EVENTS_AFTER,),
    ),
    Verb("me", _CUSTOMER, _ACCOUNT, _READ, "Limits and use of an account now, and its services.", "GET", _OF_ACCOUNT),
    *(
        Verb(
            name,
            _CUSTOMER,
            _ACCOUNT,
            _OPERATE,
            f"{name.capitalize()} a service; the answer says how far that went.",
            "POST",
            f"{_OF_SERVICE}/{name}",
            (SERVICE,),
        )
        for name in ("start", "stop", "restart")
    ),
    Verb(
        "scale",
        _ADMINISTRATOR,
        _ACCOUNT,
        _OPERATE,
        "Run so many replicas of a service.",
        "POST",
        f"{_OF_SERVICE}/scale",
        (SERVICE, _REPLICAS),
        ("scale", "{account}/{service}"),
        patience=_MINUTE,
    ),
    Verb(
        "logs",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "The end of a service's log.",
        "GET",
        f"{_OF_SERVICE}/logs",
        (SERVICE, _LINES, _NUMBER),
        ("logs", "{account}/{service}"),
    ),
    Verb(
        "plan",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "The plan, and what the next one would change.",
        "GET",
        f"{_OF_ACCOUNT}/plan",
        (),
        ("account", "plan", "{account}", "--json"),
    ),
    Verb(
        "notices",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "Whether the customer gets mails about limits.",
        "GET",
        f"{_OF_ACCOUNT}/notices",
    ),
    Verb(
        "switch-notices",
        _CUSTOMER,
        _ACCOUNT,
        _OPERATE,
        "Switch mails about limits on or off.",
        "PUT",
        f"{_OF_ACCOUNT}/notices",
        (_STATE,),
    ),
    Verb(
        "usage",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "What an account used.",
        "GET",
        f"{_OF_ACCOUNT}/usage",
        (_FROM, _TO, _PERIOD, _BY),
        ("usage", "{account}", "--json"),
        patience=15.0,
    ),
    Verb(
        "history",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "The values of a chart.",
        "GET",
        f"{_OF_ACCOUNT}/history",
        (_PERIOD, _METRIC),
        ("chart", "{account}", "--json"),
        patience=15.0,
    ),
    Verb(
        "faults",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "Which limits were hit, and by which processes.",
        "GET",
        f"{_OF_ACCOUNT}/faults",
        (_KIND, _SINCE),
        ("faults", "{account}", "--json", "--pictures"),
        for_others=("--no-command-lines",),
        patience=15.0,
    ),
    Verb(
        "explain",
        _CUSTOMER,
        _ACCOUNT,
        _READ,
        "Why it was slow, or what was killed, in sentences.",
        "GET",
        f"{_OF_ACCOUNT}/explain",
        (_AT,),
        ("explain", "{account}", "--json"),
        for_customer=("--for-customer",),
        for_others=("--no-command-lines",),
        patience=15.0,
    ),
    Verb(
        "accounts",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "The accounts: plan, state, use beside limits.",
        "GET",
        "/v1/accounts",
        (_LIMIT, _AFTER, _SEARCH, _SORT),
        ("account", "list", "--json"),
        patience=15.0,
    ),
    Verb(
        "file",
        _ADMINISTRATOR,
        About.NAME,
        _READ,
        "The account's file, with its tag.",
        "GET",
        f"{_OF_ACCOUNT}/file",
        (),
        ("account", "show", "{account}", "--json"),
    ),
    Verb(
        "put",
        _ADMINISTRATOR,
        About.NAME,
        _ADMINISTER,
        "Write the account's file, if it is right; else nothing changes.",
        "PUT",
        f"{_OF_ACCOUNT}/file",
        (_IF_MATCH, _IF_NONE_MATCH, _DRY_RUN),
        ("account", "put", "{account}", "--json"),
        body="The specification, YAML.",
        patience=_MINUTE,
    ),
    Verb(
        "remove",
        _ADMINISTRATOR,
        About.NAME,
        _ADMINISTER,
        "Remove the account's file.",
        "DELETE",
        f"{_OF_ACCOUNT}/file",
        (_IF_MATCH,),
        ("account", "remove", "{account}", "--json"),
        patience=_MINUTE,
    ),
    *(
        Verb(
            name,
            _ADMINISTRATOR,
            _ACCOUNT,
            _OPERATE,
            summary,
            "POST",
            f"{_OF_ACCOUNT}/{name}",
            (),
            (name, "{account}"),
            patience=_MINUTE,
        )
        for name, summary in (
            ("freeze", "Stop all processes of an account where they are."),
            ("thaw", "Let a frozen account go on."),
        )
    ),
    Verb(
        "advise",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "Which plan fits whom; or whom another plan would have hurt.",
        "GET",
        "/v1/advice",
        (_PLAN, _LIMIT, _AFTER),
        ("advise", "--json", _PAGE),
        patience=_MINUTE,
    ),
    Verb(
        "plans",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "The plans, and how many accounts have them.",
        "GET",
        "/v1/plans",
        (),
        ("plan", "list", "--json"),
    ),
    Verb(
        "plan-file",
        _ADMINISTRATOR,
        About.PLAN,
        _READ,
        "The plan's file, with its tag.",
        "GET",
        "/v1/plans/{plan}/file",
        (),
        ("plan", "show", "{plan}", "--json"),
    ),
    Verb(
        "put-plan",
        _ADMINISTRATOR,
        About.PLAN,
        _ADMINISTER,
        "Write the plan's file, if all its accounts stay right; else nothing changes.",
        "PUT",
        "/v1/plans/{plan}/file",
        (_IF_MATCH, _IF_NONE_MATCH, _DRY_RUN),
        ("plan", "put", "{plan}", "--json"),
        body="The plan, YAML.",
        patience=_MINUTE,
    ),
    Verb(
        "bill",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "What each account used in a month, and its price.",
        "GET",
        "/v1/bill",
        (_MONTH, _LIMIT, _AFTER),
        ("bill", "--json", _PAGE),
        patience=30.0,
    ),
    Verb(
        "host",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "The machine: pressure, and how many accounts there are and stand at a limit.",
        "GET",
        "/v1/host",
        (),
        ("status", "--host", "--json"),
    ),
    Verb(
        "doctor",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "What this machine lacks.",
        "GET",
        "/v1/doctor",
        (),
        ("doctor", "--json"),
        patience=30.0,
    ),
    Verb(
        "coverage",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "Which processes of customers are outside, and why.",
        "GET",
        "/v1/coverage",
        (),
        ("coverage", "--json"),
        patience=30.0,
    ),
    Verb(
        "network",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "Addresses, and who may connect to them.",
        "GET",
        "/v1/network",
        (_LIMIT, _AFTER),
        ("net", "show", "--json", _PAGE),
        patience=15.0,
    ),
    Verb(
        "differences",
        _ADMINISTRATOR,
        _NOTHING,
        _READ,
        "What differs from the specifications now.",
        "GET",
        "/v1/differences",
        (),
        ("diff", "--json"),
        patience=_MINUTE,
    ),
    Verb(
        "reconcile",
        _ADMINISTRATOR,
        _NOTHING,
        _ADMINISTER,
        "Compare all accounts with their specifications now, and repair.",
        "POST",
        "/v1/reconcile",
        (_ONE_ACCOUNT, _REMOVE),
        patience=_MINUTE,
        later=True,
    ),
    Verb(
        "tokens",
        _ADMINISTRATOR,
        _NOTHING,
        _ADMINISTER,
        "The tokens of the interface, without their secrets.",
        "GET",
        "/v1/tokens",
        (),
        ("token", "list", "--json"),
    ),
    Verb(
        "revoke",
        _ADMINISTRATOR,
        _NOTHING,
        _ADMINISTER,
        "Revoke a token.",
        "DELETE",
        "/v1/tokens/{token}",
        (_TOKEN_ID,),
        ("token", "revoke"),
    ),
)
INTERNAL: tuple[Verb, ...] = (
    Verb(
        "login-refused",
        Access.ROOT,
        _NOTHING,
        _ADMINISTER,
        "The login helper tells that it has refused a login to the page.",
        "",
        "",
        (_WHY, _USER, _ADDRESS),
    ),
)
"""What programs of ours ask. It is not part of the HTTP interface."""
BY_NAME: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in (*VERBS, *INTERNAL)})


def checked(verb: Verb, options: Mapping[str, str]) -> None:
    """RefusedError where an option is unknown, missing, or not of the expected form."""
    known = {parameter.name: parameter for parameter in verb.parameters}
    if unknown := options.keys() - known:
        names = ", ".join(known) or "none"
        raise RefusedError(f"{verb.name} has no option {min(unknown)[:32]!r}; there are: {names}", Exit.WRONG)
    for parameter in verb.parameters:
        value = options.get(parameter.name)
        if value is None and parameter.required:
            raise RefusedError(f"{verb.name} needs {parameter.name}: {parameter.expected}", Exit.WRONG)
        if value is not None and not re.fullmatch(parameter.pattern, value, re.ASCII):
            raise RefusedError(f"{parameter.name} is {value[:64]!r}; expected {parameter.expected}", Exit.WRONG)


def command_of(verb: Verb, about: str, options: Mapping[str, str], *, by_customer: bool) -> list[str]:
    """The words of the command that answers. `about` and `options` were checked: no word of theirs is read as an option
    of the command, for words stand behind `--`."""
    assert verb.command is not None
    filled = {"account": about, "plan": about, **options}
    own = [word for word in verb.command if not word.startswith(("-", "{"))]
    flags = [word for word in verb.command if word.startswith("-")]
    words = [word.format(**filled) for word in verb.command if word.startswith("{")]
    in_words = {word for word in ("account", "plan", "service") if any(f"{{{word}}}" in each for each in verb.command)}
    for parameter in verb.parameters:
        value = options.get(parameter.name)
        if value is None or parameter.name in in_words:
            continue
        if not parameter.option:
            words.append(value)
        elif parameter.pattern == "1":
            flags.append(parameter.option)
        else:
            flags.append(f"{parameter.option}={value}")
    flags += verb.for_customer if by_customer else verb.for_others
    return [*own, *flags, *(["--", *words] if words else ())]
