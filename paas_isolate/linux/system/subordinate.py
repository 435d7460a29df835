"""Subordinate uids, which a user may take in a user namespace of their own: subuid(5), newuidmap(1)."""

from contextlib import suppress

from paas_isolate.model.bandwidth import UidRange

SUBUID = "/etc/subuid"


def subordinate_uids(path: str = SUBUID) -> dict[str, tuple[UidRange, ...]]:
    """The ranges of each user, by name or by uid as text, as the file has it; empty where there is no file. Lines that
    newuidmap(1) would not understand are left out."""
    ranges: dict[str, tuple[UidRange, ...]] = {}
    with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match line.strip().split(":"):
                case [user, first, count] if first.isdecimal() and count.isdecimal() and int(count):
                    uids = UidRange(int(first), int(first) + int(count) - 1)
                    if uids.last < 1 << 32:
                        ranges[user] = (*ranges.get(user, ()), uids)
    return ranges
