"""The units: none has a directive that would break its work, or that customers' programs would inherit."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
UNITS = SOURCE / "systemd"
SECURITY = SOURCE / "docs" / "security.md"

STARTS_SERVICES = ("paas-isolate-boot.service", "paas-isolate-daemon.service", "paas-isolate.service")
"""They start the customers' services, look at all processes and other mount namespaces, and write cgroups and /run."""
SEES_NO_MOUNTS = ("paas-isolate-shutdown.service", "paas-tree.service")
"""No mount namespace for them."""
PAGE = ("paas-isolate-web.service", "paas-isolate-session@.service")
SERVICES = (*STARTS_SERVICES, *SEES_NO_MOUNTS, "paas-isolate-network.service", "paas-isolate-metrics.service")

# systemd.exec(5), by what they do.
MOUNTS = (
    r"Private(?!Users|Network|IPC).*|Protect(?!Clock|Hostname).*|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|ExecPaths|"
    r"NoExecPaths|TemporaryFileSystem|Bind.*Paths|Mount.*|Root.*|ProcSubset|DynamicUser|Extension.*"
)
NAMESPACES = r"PrivateUsers(Ex)?|PrivateNetwork|PrivateIPC|NetworkNamespacePath|IPCNamespacePath|ProtectHostname"
INHERITED = (
    r"SystemCall.*|Restrict.*|NoNewPrivileges|LockPersonality|MemoryDenyWriteExecute|CapabilityBoundingSet|"
    r"AmbientCapabilities|SecureBits|Personality|KeyringMode|UMask|ProtectClock|ProtectKernel.*|User|Group|.*Groups"
)
OF_THE_CGROUP = (
    r"IPAddress.*|Device.*|PrivateDevices|ProtectClock|IPIngress.*|IPEgress.*|BPFProgram|NFTSet|SocketBind.*"
)
DIRECTORIES = r"(Runtime|State|Cache|Logs|Configuration)Directory.*"


def directives(name: str) -> set[str]:
    """Those of a unit and its drop-ins."""
    files = [UNITS / name, *(UNITS / f"{name}.d").glob("*.conf")]
    return {found for file in files for found in re.findall(r"^([A-Za-z]+)=", file.read_text(), re.MULTILINE)}


def breaking(name: str, *patterns: str) -> set[str]:
    return {found for found in directives(name) if any(re.fullmatch(pattern, found) for pattern in patterns)}


def test_all_services_are_examined() -> None:
    assert {file.name for file in UNITS.glob("*.service")} == {*SERVICES, *PAGE}


def test_the_page_has_no_rights() -> None:
    text = (UNITS / PAGE[0]).read_text()
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "ProtectHome=yes", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in text
    closed = " ".join(re.findall(r"^InaccessiblePaths=(.*)$", text, re.MULTILINE)).split()
    assert {"-/etc/paas-isolate", "-/var/lib/paas-isolate", "-/run/paas-isolate", "-/etc/shadow"} <= {*closed}


def test_the_page_alone_reaches_the_logins() -> None:
    text = (UNITS / "paas-isolate-session.socket").read_text()
    assert {"SocketMode=0660", "SocketUser=root", "SocketGroup=paas-isolate-web"} <= {*text.splitlines()}
    assert "SupplementaryGroups=paas-isolate-web" in (UNITS / PAGE[0]).read_text()
    assert "g paas-isolate-web " in (UNITS / "paas-isolate-web.sysusers.conf").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_exposure_of_the_page() -> None:
    assert exposure(PAGE[0]) <= 1.5


@pytest.mark.parametrize("name", STARTS_SERVICES)
def test_what_starts_customers_services_takes_nothing_from_them(name: str) -> None:
    assert breaking(name, MOUNTS, NAMESPACES, INHERITED, OF_THE_CGROUP) == set()


@pytest.mark.parametrize("name", SEES_NO_MOUNTS)
def test_no_mount_namespace_stands_in_the_way(name: str) -> None:
    assert breaking(name, MOUNTS, NAMESPACES) == set()


def test_nothing_of_the_trees_cgroup_restricts_the_customers_in_it() -> None:
    assert breaking("paas-tree.service", OF_THE_CGROUP, "User", "Group", "Limit.*") == set()


@pytest.mark.parametrize("name", SERVICES)
def test_directories_outlive_the_units(name: str) -> None:
    assert breaking(name, DIRECTORIES) == set()


def test_the_ruleset_can_be_installed() -> None:
    text = (UNITS / "paas-isolate-network.service").read_text()
    for line in ("CapabilityBoundingSet=CAP_NET_ADMIN", "ReadWritePaths=/run", "RestrictAddressFamilies=AF_NETLINK "):
        assert line in text
    assert not re.search(r"^PrivateNetwork=", text, re.MULTILINE)
    assert not re.search(r"^(PrivateTmp|ProcSubset)=", text, re.MULTILINE)  # /tmp is not there yet; it reads a sysctl


def test_customers_can_be_ended() -> None:
    text = (UNITS / "paas-isolate-shutdown.service").read_text()
    (capabilities,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
    assert {"CAP_KILL", "CAP_DAC_OVERRIDE"} <= set(capabilities.split())
    assert "SystemCallErrorNumber=EPERM" in text  # a call that is missing there is no SIGSYS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("name", (*SERVICES, *PAGE))
def test_the_exposure_is_that_of_the_docs(name: str) -> None:
    """Versions of systemd differ by some tenths."""
    found = exposure(name)
    row = re.search(rf"^\| `{re.escape(name)}` \| ([0-9.]+) \|", SECURITY.read_text(), re.MULTILINE)
    assert row
    assert abs(found - float(row[1])) <= 0.5


def exposure(name: str) -> float:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)]
    done = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if not found:
        pytest.skip(f"this systemd-analyze cannot tell it: {done.stderr}")
    return float(found[1])
