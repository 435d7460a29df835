"""The one description of paths: where in our subtree an account, a service, a penalty lies.

Paths are relative to the tree's root and never begin with a slash; a cgroup outside the tree is told
by its absolute path in the hierarchy, which does. So one string says where a process is.
"""

from collections.abc import Collection, Iterable

ROOT = ""
ANCHOR = "anchor"
USERS = "users"
PENALTY = "penalty"
CLOSED = "closed"
VIEW = "view"
_BELOW = f"{USERS}/"
NOWHERE = ""
"""The place of what is to end."""


def account(directory: str) -> str:
    return f"{USERS}/{directory}"


def leaf(directory: str, service: str) -> str:
    return f"{USERS}/{directory}/{service}"


def directory_of(path: str) -> str:
    """The account directory that a path lies in; '' for what belongs to all, or lies outside."""
    parts = path.split("/", 2)
    return parts[1] if len(parts) > 1 and parts[0] == USERS else ""


def directories(paths: Iterable[str]) -> set[str]:
    """The account directories that paths lie in: `directory_of` for tens of thousands."""
    return {path.split("/", 2)[1] for path in paths if path.startswith(_BELOW)}


def within(paths: Iterable[str], directories: Collection[str]) -> list[str]:
    """Those of the paths that lie in one of these account directories."""
    return [path for path in paths if path.startswith(_BELOW) and path.split("/", 2)[1] in directories]


def closed(directory: str) -> str:
    """What the door of an account leads to that nobody may enter now: no path, but it says whose it is."""
    return f"{CLOSED}/{directory}"


def view(directory: str) -> str:
    """What the door leads to by which a login enters the view of an account: no cgroup, but it says whose it is."""
    return f"{VIEW}/{directory}"


def is_view(target: str) -> bool:
    return target.startswith(f"{VIEW}/")


def is_closed(target: str) -> bool:
    return target.startswith(f"{CLOSED}/")


def account_of_door(target: str) -> str:
    """The account directory that a door leads into, or is closed for; '' when it is nobody's."""
    word, _, directory = target.partition("/")
    return directory if word in (CLOSED, VIEW) else directory_of(target)


def is_account(path: str) -> bool:
    """Whether it is the cgroup of one account, as a whole."""
    return path.startswith(_BELOW) and path.count("/") == 1


def is_leaf(path: str) -> bool:
    """Whether processes may live in it: leaves, and whatever somebody made below them."""
    return path == PENALTY or (path.startswith(_BELOW) and path.count("/") > 1)


def depth(path: str) -> int:
    return path.count("/") + 1 if path else 0


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def inside(path: str) -> bool:
    """Whether it names a cgroup of the tree (and not one of the rest of the machine)."""
    return not path.startswith("/")
