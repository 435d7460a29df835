"""Paths of cgroups: where in the tree accounts, services and the penalty leaf are.

A path in the tree is relative to its root and has no slash at its start. A cgroup outside the tree has its absolute
path in the hierarchy, which starts with a slash. So one string says where a process is.
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
"""As the target of a move: the process must end."""


def account(directory: str) -> str:
    return f"{USERS}/{directory}"


def leaf(directory: str, service: str) -> str:
    return f"{USERS}/{directory}/{service}"


def directory_of(path: str) -> str:
    """The account directory that a path lies in; '' for all other cgroups of the tree, and outside it."""
    parts = path.split("/", 2)
    return parts[1] if len(parts) > 1 and parts[0] == USERS else ""


def directories(paths: Iterable[str]) -> set[str]:
    """The account directories that paths lie in. Faster than `directory_of` for tens of thousands of paths."""
    return {path.split("/", 2)[1] for path in paths if path.startswith(_BELOW)}


def within(paths: Iterable[str], directories: Collection[str]) -> list[str]:
    """The paths that lie in one of these account directories."""
    return [path for path in paths if path.startswith(_BELOW) and path.split("/", 2)[1] in directories]


def closed(directory: str) -> str:
    """The target of a closed door. It is not a cgroup; it names the account whose door it is."""
    return f"{CLOSED}/{directory}"


def view(directory: str) -> str:
    """The target of the door for an account's view. It is not a cgroup; it names the account."""
    return f"{VIEW}/{directory}"


def is_view(target: str) -> bool:
    return target.startswith(f"{VIEW}/")


def is_closed(target: str) -> bool:
    return target.startswith(f"{CLOSED}/")


def account_of_door(target: str) -> str:
    """The account directory of a door, by its target, open or closed; '' where it is no account's."""
    prefix, _, directory = target.partition("/")
    return directory if prefix in (CLOSED, VIEW) else directory_of(target)


def is_account(path: str) -> bool:
    """Whether the path is the cgroup of an account itself."""
    return path.startswith(_BELOW) and path.count("/") == 1


def is_leaf(path: str) -> bool:
    """Whether processes may live in it: a leaf, or a cgroup that somebody made below one."""
    return path == PENALTY or (path.startswith(_BELOW) and path.count("/") > 1)


def depth(path: str) -> int:
    return path.count("/") + 1 if path else 0


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def inside(path: str) -> bool:
    """Whether the path is a cgroup of the tree, and not one of the rest of the machine."""
    return not path.startswith("/")
