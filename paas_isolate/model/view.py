"""What a customer sees of the machine: a mount namespace of the account's own, told by what differs in it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

DOOR = ":view"
"""Behind the uid: the door that says which view a login enters. No PAM service has a colon in its name."""

HIDDEN = ("/etc/paas-isolate", "/run/dbus", "/run/systemd/sessions", "/run/systemd/users")
"""The system bus tells everybody who is logged in, and the command lines of every unit (`systemctl status`)."""


UNKNOWN = -1
"""For the owner of files, where that is no uid that an account has: nobody is asked, and they stay whose they are."""


class PrivateTmpConfig(NamedTuple):
    """config.yaml's `private:`: where the accounts' own /tmp and /var/tmp lie, and how long a file stays there that
    nobody uses, in milliseconds."""

    tmp: str = "/var/lib/paas-isolate/private"
    age: int = 10 * 86_400_000


class View(NamedTuple):
    """`processes`: of others none are seen, neither in /proc nor in the cgroup tree. `tmp`: the directory of the
    account's own /tmp and /var/tmp, '' where they are the host's. `shm`: /dev/shm is the account's own. `hide`: what
    is not seen at all. `owner`: the uid whose `tmp` it is, 0 or UNKNOWN where that is not known."""

    processes: bool = False
    tmp: str = ""
    shm: bool = False
    hide: tuple[str, ...] = ()
    owner: int = 0


class Views(NamedTuple):
    """`made` tells the view of each account directory, None where one was made and is not whole any more. `namespaces`
    has the inodes of those observed, `files` their `tmp`, whole or not. `aging` is what systemd-tmpfiles(8) goes by."""

    made: Mapping[str, View | None] = MappingProxyType({})
    aging: str = ""
    namespaces: Mapping[str, int] = MappingProxyType({})
    files: Mapping[str, str] = MappingProxyType({})


class NamespacePort(Protocol):
    """The hands that make views. They are in linux/views, which a machine without views never imports.
    `make` and `remove` answer what went wrong with each, '' where nothing did."""

    def observe(self) -> Views: ...

    def make(self, views: Iterable[tuple[str, View]]) -> list[str]: ...

    def remove(self, views: Iterable[tuple[str, str]]) -> list[str]: ...

    def set_aging(self, text: str) -> None: ...
