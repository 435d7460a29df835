"""The scalars other than limits: names, globs, flags, numbers, durations, paths. Each takes text or refuses it."""

import re
from collections.abc import Callable
from math import inf

from paas_isolate.model import left
from paas_isolate.model.limits import UNLIMITED, Value
from paas_isolate.spec import names
from paas_isolate.spec.shapes import ScalarShape
from paas_isolate.units import parse_count, parse_duration, parse_size

# The names that shadow, adduser, LDAP and Active Directory make, without characters that passwd(5), paths or globs
# take for something else.
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.@+\\-]{0,254}\$?"
_UNIT = r"[A-Za-z0-9_@:.\\-]{1,240}\.service"
_PAM = r"[A-Za-z0-9_.+-]{1,64}"


def exact(text: str) -> str:
    """The text itself. Raises ValueError for a leading zero: `010` is 8 in YAML 1.1 and in C, and 10 to people."""
    if re.match(r"0[0-9]", text):
        raise ValueError("a number without a leading zero")
    return text


def fits(pattern: str, expected: str) -> Callable[[str], str]:
    """A parser that takes text which matches `pattern` as a whole. The pattern is compiled at its first use, not at
    import: one file has few of the kinds of text, and a run after an edit waits for those alone."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(expected)
        return text

    return parse


def _word(pattern: str, expected: str) -> ScalarShape:
    form = {"type": "string", "pattern": f"^{pattern}$"}
    return ScalarShape(fits(pattern, expected), expected, form)


NAME = _word(names.NAME.pattern, names.NAME_EXPECTED)
USER = _word(_USER, "the name of a Unix user")
EXEMPT = _word(f"@?(?:{_USER})", "a user, or a @group")
PAM_SERVICE = _word(_PAM, "the name of a PAM service such as cron")
UNIT = _word(_UNIT, "a unit such as paas-tree.service")
GLOB = _word(r"[^\n]{1,1000}", "a glob such as php-fpm*")
LINE = _word(r"[^\n]{1,4096}", "one line of text")
CONTENT = ScalarShape(str, "a text", {"type": ["string", "number", "boolean"]})
ROOT = _word(r"/(?!.*(?:^|/)\.\.?(?:/|$))[^\n]{1,1000}", "an absolute path without dots")
PATH = _word(r"(?:/|~/|~$)[^\n]{0,1000}", "an absolute path or ~/PATH")


def choice(*words: str) -> ScalarShape:
    """One of these words."""
    expected = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return ScalarShape(fits("|".join(words), expected), expected, {"enum": list(words)})


def whole(least: int, most: int, example: str) -> ScalarShape:
    """A whole number from `least` to `most`."""
    expected = f"a whole number from {least} to {most}, such as {example}"

    def parse(text: str) -> int:
        sign = -1 if text.startswith("-") and least < 0 else 1
        try:
            number = sign * parse_count(exact(text.removeprefix("-") if sign < 0 else text))
        except ValueError:
            raise ValueError(expected) from None
        if not least <= number <= most:
            raise ValueError(expected)
        return number

    return ScalarShape(parse, expected, {"type": "integer", "minimum": least, "maximum": most})


def _flag(text: str) -> bool:
    # yes, no, on and off are booleans in YAML 1.1 and text in 1.2: refused, for nobody knows which was meant
    return {"true": True, "false": False}[fits("true|false", "true or false")(text)]


def _duration(text: str) -> int:
    return parse_duration(exact(text))


def _between(parse: Callable[[str], int], least: int, most: float, expected: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not least <= (number := parse(text)) <= most:
            raise ValueError(expected)
        return number

    return read


def _least(parse: Callable[[str], int], least: int, expected: str) -> Callable[[str], int]:
    return _between(parse, least, inf, expected)


def _part(text: str) -> int:
    return int(fits("(?:100|[1-9][0-9]?)%", _PART)(text)[:-1])


def _without_account(text: str) -> str:
    name = text.removeprefix("plan ")
    if text in ("leave", "penalty") or (name != text and names.is_name(name)):
        return text
    raise ValueError("leave, penalty, or plan NAME")


def _pool(text: str) -> str:
    from ipaddress import IPv4Network  # imported for a file that has the key

    try:
        return str(IPv4Network(text))
    except ValueError:
        raise ValueError(POOL.expected) from None


def _pool6(text: str) -> str:
    from ipaddress import IPv6Address, IPv6Network

    from paas_isolate.model.network import SOURCE6

    try:
        network = IPv6Network(text)
    except ValueError:
        raise ValueError(POOL6.expected) from None
    if IPv6Address(SOURCE6) in network:
        raise ValueError(f"a network without {SOURCE6}, from which clients come")
    return str(network)


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(ADDRESS.expected) from None


def _schedule(text: str) -> str:
    from datetime import datetime

    from cronsim import CronSim, CronSimError  # imported for a file that has the key

    schedule = _NICKNAMES.get(text, text)
    try:
        if len(schedule.split()) != 5:  # the library also takes a field of seconds, which crontab(5) does not have
            raise ValueError
        next(CronSim(schedule, datetime(2024, 1, 1)))
    except (CronSimError, StopIteration, ValueError):  # ValueError: int() of thousands of digits
        raise ValueError(NEVER if _never_comes(schedule) else SCHEDULE.expected) from None
    return schedule


def _time_zone(text: str) -> str:
    from zoneinfo import ZoneInfo  # imported for a file that has the key

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # OSError: `Europe` is a directory of tzdata
        raise ValueError("a time zone such as Europe/Berlin") from None
    return text


NEVER = "a date that exists: this one never comes"


def _never_comes(schedule: str) -> bool:
    """Whether the schedule is right but for a day that its month does not have (30 February)."""
    from datetime import datetime

    from cronsim import CronSim, CronSimError

    try:
        minute, hour, day, month, weekday = schedule.split()
        for part in (f"{minute} {hour} {day} * {weekday}", f"{minute} {hour} * {month} {weekday}"):
            CronSim(part, datetime(2024, 1, 1))
    except (CronSimError, ValueError):
        return False
    return True


_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _or_unlimited(parse: Callable[[str], int], least: int, expected: str) -> Callable[[str], Value]:
    def either(text: str) -> Value:
        if text in ("unlimited", "max", "infinity"):
            return UNLIMITED
        if (value := parse(exact(text))) < least:
            raise ValueError(f"{expected} (or the word unlimited)")
        return value

    return either


_PORTS = "a port, or a range of ports such as 8000-8999"


def _ports(text: str) -> tuple[int, int]:
    """The first and the last port of a range."""
    first, dash, last = text.partition("-")
    try:
        low, high = parse_count(exact(first)), parse_count(exact(last if dash else first))
    except ValueError:
        raise ValueError(_PORTS) from None
    if not 1 <= low <= high <= 65535:
        raise ValueError(_PORTS)
    return low, high


SPACE = ScalarShape(
    _or_unlimited(parse_size, 1 << 20, "a size of at least 1M, such as 10G"),
    "a size such as 10G",
    {"type": ["string", "integer"]},
)
FILES = ScalarShape(
    _or_unlimited(parse_count, 10, "a whole number of at least 10, such as 200000"),
    "a whole number such as 200000",
    {"type": ["string", "integer"]},
)
FLAG = ScalarShape(_flag, "true or false", {"type": "boolean"})
DURATION = ScalarShape(_duration, "a duration such as 10s", {"type": "string", "pattern": "^[0-9.]+(ms|s|m|h|d)$"})
WITHOUT_ACCOUNT = ScalarShape(
    _without_account,
    "leave, penalty, or plan NAME",
    {"type": "string", "pattern": f"^(leave|penalty|plan {names.NAME.pattern})$"},
)
CGROUPS = ScalarShape(left.checked, left.EXPECTED, {"type": "string"})
POOL = ScalarShape(_pool, "a network such as 10.77.0.0/16", {"type": "string"})
POOL6 = ScalarShape(_pool6, "a network such as fd77:7061:6173::/64", {"type": "string"})
ADDRESS = ScalarShape(_address, "an address such as 10.77.0.9", {"type": "string"})
PORT = whole(1, 65535, "8080")
PORTS = ScalarShape(_ports, _PORTS, {"type": ["integer", "string"], "pattern": "^[0-9]+(-[0-9]+)?$"})
_EVERY = "a duration of at least 100ms, such as 30s"
EVERY = ScalarShape(_least(_duration, 100, _EVERY), _EVERY, DURATION.form)
_LOG_SIZE = "a size of at least 1K, such as 10M"
LOG_SIZE = ScalarShape(
    _least(lambda text: parse_size(exact(text)), 1024, _LOG_SIZE), _LOG_SIZE, {"type": ["integer", "string"]}
)
_SAMPLED = "a duration from 1s to 1m, such as 10s"
SAMPLED = ScalarShape(_between(_duration, 1000, 60_000, _SAMPLED), _SAMPLED, DURATION.form)
_KEPT = "a size of at least 64M, such as 4G"
KEPT = ScalarShape(
    _least(lambda text: parse_size(exact(text)), 64 << 20, _KEPT), _KEPT, {"type": ["integer", "string"]}
)
_PART = "a percentage from 1% to 100%, such as 10%"
PART = ScalarShape(_part, _PART, {"type": "string", "pattern": "^(100|[1-9][0-9]?)%$"})
TIME_ZONE = ScalarShape(_time_zone, "a time zone such as Europe/Berlin", {"type": "string"})
PRICE = ScalarShape(
    fits(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?", "a price such as 0.01"),
    "a price such as 0.01",
    {"type": ["number", "string"], "minimum": 0},
)
UMASK = _word(r"[0-7]{3,4}", "three octal digits such as 027")
MAIL = _word(r"[A-Za-z0-9_.+%-]{1,64}(?:@[A-Za-z0-9.-]{1,190})?", "a mail address such as me@example.org")
SCHEDULE = ScalarShape(
    _schedule, 'a time in the notation of crontab, such as "*/5 * * * *" or @daily', {"type": "string"}
)
