"""Asking systemd, through its own tools. See systemctl(1)."""

import os

from paas_isolate.errors import HostError


def running() -> bool:
    """Whether systemd is the init of this machine (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def control_group(unit: str) -> str:
    """The unit's cgroup, absolute in the hierarchy; '' when it does not run."""
    return _systemctl("show", "--property=ControlGroup", "--value", unit)


def properties(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit, by name."""
    text = _systemctl("show", f"--property={','.join(names)}", unit)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def set_cpu_weight(unit: str, weight: str) -> None:
    """The slice's share of the machine, kept by systemd over reboots (systemd.resource-control(5))."""
    _systemctl("set-property", unit, f"CPUWeight={weight}")


def reload() -> None:
    """Let systemd read units that were written or taken away."""
    _systemctl("daemon-reload")


def enable(unit: str) -> None:
    _systemctl("--quiet", "enable", "--now", unit)


def disable(unit: str) -> None:
    _systemctl("--quiet", "disable", "--now", unit)


def _systemctl(*words: str) -> str:
    import subprocess  # a run that changes no weight does not pay for it

    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"systemctl {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()
