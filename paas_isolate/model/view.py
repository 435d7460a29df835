"""Views: the mount namespace of an account, described by what differs from the host's."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

DOOR = ":view"
"""The suffix after the uid in the name of the door for a view. No PAM service has a colon in its name."""

HIDDEN = ("/etc/paas-isolate", "/run/dbus", "/run/systemd/sessions", "/run/systemd/users")
"""The system bus shows who is logged in, and the command lines of every unit (`systemctl status`)."""

UNKNOWN = -1
"""The owner of private files, where the account has no uid for it: files that are there keep their owner."""


class PrivateTmpConfig(NamedTuple):
    """config.yaml's `private:`. `tmp` is the directory of the accounts' own /tmp and /var/tmp; files there that were
    not used for `age` milliseconds are removed."""

    tmp: str = "/var/lib/paas-isolate/private"
    age: int = 10 * 86_400_000


class View(NamedTuple):
    """What the mount namespace of an account has of its own. `processes`: other accounts' processes are hidden, in
    /proc and in the cgroup tree. `tmp`: the directory of the account's own /tmp and /var/tmp, '' where they are the
    host's. `shm`: /dev/shm is the account's own. `hide`: paths that are hidden. `owner`: the uid that owns `tmp`, 0 or
    UNKNOWN where none is known."""

    processes: bool = False
    tmp: str = ""
    shm: bool = False
    hide: tuple[str, ...] = ()
    owner: int = 0


class Views(NamedTuple):
    """The views of all accounts, by account directory. Desired and observed: `made`, the views (observed None: it was
    made and is not intact any more), and `aging`, the lines for tmpfiles.d(5). Observed only: `namespaces`, the inodes
    of the mount namespaces, and `files`, the `tmp` directories, also of views that are not intact."""

    made: Mapping[str, View | None] = MappingProxyType({})
    aging: str = ""
    namespaces: Mapping[str, int] = MappingProxyType({})
    files: Mapping[str, str] = MappingProxyType({})


class NamespacePort(Protocol):
    """Makes and removes views. linux/namespaces implements it; a machine without views does not import that.
    `make` and `remove` return one text for each view: the error, or ''."""

    def observe(self) -> Views: ...

    def make(self, views: Iterable[tuple[str, View]]) -> list[str]: ...

    def remove(self, views: Iterable[tuple[str, str]]) -> list[str]: ...

    def set_aging(self, text: str) -> None: ...
