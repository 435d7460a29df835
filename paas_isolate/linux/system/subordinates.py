"""Subordinate uids of users, from /etc/subuid. See subuid(5), newuidmap(1)."""

from paas_isolate.model.network import UidRange

SUBUID_FILE = "/etc/subuid"
_LARGEST = 2**32 - 2


def subordinate_uids(path: str = SUBUID_FILE) -> dict[str, tuple[UidRange, ...]]:
    """The ranges of each user, by login name or by uid in digits, as the file has it. Empty where there is no such
    file. Lines that cannot be read are left out, as newuidmap(1) leaves them out."""
    ranges: dict[str, list[UidRange]] = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                user, _, numbers = line.strip().partition(":")
                first, _, count = numbers.partition(":")
                if user and first.isdecimal() and count.isdecimal() and int(count):
                    last = min(int(first) + int(count) - 1, _LARGEST)
                    ranges.setdefault(user, []).append(UidRange(int(first), last))
    except FileNotFoundError:
        return {}
    return {user: tuple(own) for user, own in ranges.items()}
