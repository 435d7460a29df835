"""systemd, through systemctl(1). Every function but `running` raises HostError with systemctl's words when it fails."""

import os

from paas_isolate.errors import HostError


def running() -> bool:
    """Whether systemd is the init of this machine (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def control_group(unit: str) -> str:
    """The unit's cgroup, as an absolute path in the hierarchy; '' when the unit does not run."""
    return _systemctl("show", "--property=ControlGroup", "--value", unit)


def properties(unit: str, *names: str) -> dict[str, str]:
    """These properties of a unit, by name, in the text that systemctl prints."""
    text = _systemctl("show", f"--property={','.join(names)}", unit)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def set_cpu_weight(unit: str, weight: str) -> None:
    """Set CPUWeight= of a slice now and after reboots (systemd.resource-control(5))."""
    _systemctl("set-property", unit, f"CPUWeight={weight}")


def reload() -> None:
    """Let systemd read all unit files again."""
    _systemctl("daemon-reload")


def enable(unit: str) -> None:
    """Start the unit now and at boot."""
    _systemctl("--quiet", "enable", "--now", unit)


def disable(*units: str) -> None:
    """Stop the units, and do not start them at boot."""
    _systemctl("--quiet", "disable", "--now", *units)


def enable_at_boot(*units: str) -> None:
    """Start the units at boot, and not now."""
    _systemctl("--quiet", "enable", *units)


def disable_at_boot(*units: str) -> None:
    """Do not start the units at boot. Those that run go on."""
    _systemctl("--quiet", "disable", *units)


def start(*units: str) -> None:
    """Start the units now. One that runs goes on."""
    _systemctl("start", *units)


def stop(*units: str) -> None:
    """Stop the units now."""
    _systemctl("stop", *units)


def _systemctl(*words: str) -> str:
    import subprocess  # runs that do not call systemctl do not pay for it

    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"systemctl {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()
