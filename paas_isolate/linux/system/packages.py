"""The package manager's commands, for hints."""

import os

_OF_EL = {
    "libpam-paas-isolate": "pam-paas-isolate",
    "cron": "cronie",
    "libbpf1": "libbpf",
}
"""Packages that EL has under another name than Debian."""


def install(package: str) -> str:
    """The command that installs a package, which is given by Debian's name."""
    return f"dnf install {_OF_EL.get(package, package)}" if _is_el() else f"apt-get install {package}"


def reinstall(package: str, *, missing_configuration: bool = False) -> str:
    """The command that installs a package of ours again; with `missing_configuration` also those files of /etc that
    somebody has deleted, which dpkg leaves deleted else."""
    if _is_el():
        return f"dnf reinstall {_OF_EL.get(package, package)}"
    option = "-o DPkg::Options::=--force-confmiss " if missing_configuration else ""
    return f"apt-get install --reinstall {option}{package}"


def _is_el() -> bool:
    return os.path.exists("/etc/redhat-release")
