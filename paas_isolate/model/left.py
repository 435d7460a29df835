"""Cgroups whose processes stay where root has put them: containers that run under a customer's uid."""

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
"""Of systemd-machined and podman, docker, containerd, Kubernetes and LXC, when root starts them. Only root makes such a
cgroup: what a customer starts without root lies below user.slice, or where they are."""

EXPECTED = "a cgroup below the mount point, such as machine.slice/** (* is any part of a name, ** any cgroups)"
TOO_WIDE = "a narrower one: {} is never left"
_FORM = re.compile(r"(?!/)(?:(?:\*\*|(?!\.\.?(?:/|$))(?:(?!\*\*)[^/\s\[\]])+)(?:/(?!$)|$))+")
_FIRST = ("user.slice", "init.scope", "paas.slice")
_UNITS = ("ssh", "sshd", "cron", "crond", "atd", "php-fpm", "php8.2-fpm", "php8.4-fpm", "apache2", "httpd", "nginx")
_NEVER = frozenset(f"{name}.service" for name in _UNITS)
"""By these customers come in."""


def checked(glob: str) -> str:
    """The glob, or ValueError with what was expected."""
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
    """A service that is named may be left; with a wildcard only scopes, for cgroups below a service may be a
    customer's to name (Delegate=)."""
    wide = "*" in name or "?" in name
    never = next((it for it in sorted(_NEVER) if _fits(name, it)), "")
    if never or (wide and not name.endswith(".scope")):
        raise ValueError(TOO_WIDE.format(f"system.slice/{never or '*.service'}"))


def _fits(glob: str, name: str) -> bool:
    pattern = compiled([glob])
    return pattern is not None and pattern.fullmatch(f"/{name}") is not None


def compiled(globs: Iterable[str]) -> re.Pattern[str] | None:
    """Fits the absolute paths of the cgroups that the globs name, and of those below them."""
    each = ["".join(map(_part, glob.split("/"))) for glob in globs]
    return re.compile(f"(?:{'|'.join(each)})(?:/.*)?", re.DOTALL) if each else None


def _part(name: str) -> str:
    if name == "**":
        return "(?:/[^/]+)+"
    return "/" + "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in name)
