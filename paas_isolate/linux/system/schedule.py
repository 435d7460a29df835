"""What runs on this machine: the timer, cron or the daemon, which reconcile, and the page. The package enables none of
them."""

import os
import shutil
from contextlib import suppress
from enum import StrEnum

from paas_isolate.errors import HostError
from paas_isolate.linux.system import packages, systemd

TREE = "paas-tree.service"
_SHUTDOWN = "paas-isolate-shutdown.service"
METRICS = "paas-isolate-metrics.service"
"""Administrators enable it with systemctl."""
ALWAYS = (TREE, "paas-isolate-network.service", "paas-isolate-boot.service", _SHUTDOWN)
"""Units that each of the three needs: the tree, its ruleset and accounts at boot, their end at shutdown."""

CRON_FILE = "/etc/cron.d/paas-isolate"
CRON_MARK = "cron"
"""A file in the state directory. The line of CRON_FILE, which is never edited for it, does nothing without it."""


class Way(StrEnum):
    TIMER = "timer"
    CRON = "cron"
    DAEMON = "daemon"


PAGE, PAGE_PACKAGE = "web", "paas-isolate-web"
PAGE_SOCKET, PAGE_SERVICE = "paas-isolate-session.socket", "paas-isolate-web.service"
PAGE_UNITS = (PAGE_SOCKET, PAGE_SERVICE)
LOGINS = "paas-isolate-session@*.service"
"""The helpers of those who are logged in to the page."""

UNITS = {Way.TIMER: "paas-isolate.timer", Way.DAEMON: "paas-isolate-daemon.service"}


def enabled(state: str) -> dict[Way, bool]:
    """Whether each is enabled; `state` is the state directory. HostError when systemctl fails."""
    return {way: cron_is_on(state) if way is Way.CRON else _unit_is_on(UNITS[way]) for way in Way}


def enable(way: Way, state: str) -> None:
    """Let it reconcile from now on and after each boot. The timer and cron replace each other, since both run once a
    minute; the daemon goes beside either. HostError where systemd or cron does not run here, or systemctl fails."""
    if way is Way.CRON:
        _check_cron()
        if systemd.running():
            _start()
            systemd.disable(UNITS[Way.TIMER])
        os.close(os.open(_mark(state), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return
    if not systemd.running():
        raise HostError(f"systemd does not run here, so there is no {way}", hint="paas-isolate enable cron")
    _start(UNITS[way])
    if way is Way.TIMER:
        disable(Way.CRON, state)


def disable(way: Way, state: str) -> None:
    """Let it reconcile no more. What is in the kernel stays. HostError when systemctl fails."""
    if way is not Way.CRON:
        if systemd.running():
            systemd.disable(UNITS[way])
        return
    with suppress(FileNotFoundError):
        os.unlink(_mark(state))


def page_is_on() -> bool:
    return all(map(_unit_is_on, PAGE_UNITS))


def enable_page() -> None:
    """Serve the page from now on and after each boot. HostError where it is not installed, systemd does not run here,
    or systemctl fails."""
    if not systemd.running():
        raise HostError("systemd does not run here, so there is no page")
    if systemd.properties(PAGE_SERVICE, "LoadState").get("LoadState") != "loaded":
        raise HostError("the page is not installed", hint=packages.install(PAGE_PACKAGE))
    systemd.enable_at_boot(*PAGE_UNITS)
    systemd.start(*PAGE_UNITS)


def disable_page() -> None:
    """Serve it no more: who is logged in is no longer. HostError when systemctl fails."""
    if systemd.running() and page_is_on():
        systemd.disable(*PAGE_UNITS)


def _start(*units: str) -> None:
    """Enable and start units, with those that are needed always. The boot's reconcile is only enabled: the timer's,
    cron's or the daemon's first pass comes at once."""
    systemd.enable_at_boot(*ALWAYS, *units)
    systemd.start(TREE, _SHUTDOWN, *units)


def _check_cron() -> None:
    if not os.path.exists(CRON_FILE):
        mend = packages.reinstall("paas-isolate", missing_configuration=True)
        raise HostError(f"{CRON_FILE} is missing", hint=mend)
    if not any(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") for name in ("cron", "crond")):
        raise HostError("no cron is installed here", hint=packages.install("cron"))


def _mark(state: str) -> str:
    return os.path.join(state, CRON_MARK)


def cron_is_on(state: str) -> bool:
    """Whether cron's line does anything."""
    return os.path.exists(CRON_FILE) and os.path.exists(_mark(state))


def _unit_is_on(unit: str) -> bool:
    return systemd.running() and systemd.properties(unit, "UnitFileState").get("UnitFileState") == "enabled"
