"""`users.leave`: cgroups whose processes are not moved, such as root's containers that run under a customer's uid."""

import re
from collections.abc import Iterable

LEAVE = (
    "machine.slice/**",
    "system.slice/docker-*.scope",
    "system.slice/nerdctl-*.scope",
    "docker/*",
    "libpod_parent/**",
    "kubepods.slice/**",
    "kubepods/**",
    "lxc.payload.*",
)
"""The cgroups of systemd-machined, podman, docker, containerd, Kubernetes and LXC, when root starts them. Only root can
make these: a container that a customer starts is below user.slice, or in the customer's own cgroup."""

EXPECTED = "a cgroup below the mount point, such as machine.slice/** (* is any part of a name, ** any cgroups)"
TOO_WIDE = "a narrower one: {} is never left"
_FORM = re.compile(r"(?!/)(?:(?:\*\*|(?!\.\.?(?:/|$))(?:(?!\*\*)[^/\s\[\]])+)(?:/(?!$)|$))+")
_FIRST = ("user.slice", "init.scope", "paas.slice")
_UNITS = ("ssh", "sshd", "cron", "crond", "atd", "php-fpm", "php8.2-fpm", "php8.4-fpm", "apache2", "httpd", "nginx")
_NEVER = frozenset(f"{name}.service" for name in _UNITS)
"""Services through which customers log in or run programs: their processes must always be moved."""


def checked(glob: str) -> str:
    """The glob itself. Raises ValueError, with what is expected, where it is malformed or matches too much."""
    if len(glob) > 1000 or not _FORM.fullmatch(glob):
        raise ValueError(EXPECTED)
    first, *rest = glob.split("/")
    for name in _FIRST:
        if _fits(first, name):
            raise ValueError(TOO_WIDE.format(name))
    if _fits(first, "system.slice"):
        _check_unit(rest[0] if first == "system.slice" and rest else "**")
    return glob


def _check_unit(name: str) -> None:
    """A service may be left by its full name. A wildcard may match scopes only: with Delegate= a customer may choose
    the names of cgroups below a service."""
    wide = "*" in name or "?" in name
    never = next((unit for unit in sorted(_NEVER) if _fits(name, unit)), "")
    if never or (wide and not name.endswith(".scope")):
        raise ValueError(TOO_WIDE.format(f"system.slice/{never or '*.service'}"))


def _fits(glob: str, name: str) -> bool:
    pattern = compiled([glob])
    return pattern is not None and pattern.fullmatch(f"/{name}") is not None


def compiled(globs: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for fullmatch() with an absolute cgroup path: it matches the cgroups of the globs and all below them.
    None without globs."""
    patterns = ["".join(map(_part, glob.split("/"))) for glob in globs]
    return re.compile(f"(?:{'|'.join(patterns)})(?:/.*)?", re.DOTALL) if patterns else None


def _part(name: str) -> str:
    if name == "**":
        return "(?:/[^/]+)+"
    return "/" + "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in name)
