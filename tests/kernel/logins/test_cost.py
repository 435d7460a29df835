"""What our PAM lines add to the time of a login on this kernel, beside no lines and beside a script: printed only."""

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.login_host import LoginHost, leaf_of
from tests.support.kernel.logins import login
from tests.support.kernel.pam_build import ALICE, ROOT, PamBuild, Person

pytestmark = [pytest.mark.kernel, pytest.mark.long]

SSH, PAM = 50, 200
SCRIPT = """\
#!/bin/sh
[ "$PAM_TYPE" = open_session ] || exit 0
door={doors}/$(id -u "$PAM_USER")
[ ! -e "$door" ] || echo "$PPID" >"$door/cgroup.procs"
"""

Hosts = Mapping[str, LoginHost]


@pytest.fixture
def hosts(tmp_path: Path, pam_build: PamBuild, cgroups: CgroupTree) -> Iterator[Hosts]:
    places = {name: tmp_path / name for name in ("nothing", "again", "ours", "script")}
    for place in places.values():
        place.mkdir()
    script = places["script"] / "enter"
    script.write_text(SCRIPT.format(doors=places["script"] / "doors"))
    script.chmod(0o700)
    stacks = {"nothing": (), "again": (), "ours": None, "script": (f"required pam_exec.so {script}",)}
    with ExitStack() as undo:
        yield {
            name: undo.enter_context(LoginHost(places[name], pam_build, cgroups, lines=lines))
            for name, lines in stacks.items()
        }


@pytest.mark.parametrize("who", [ROOT, ALICE], ids=lambda who: who.name)
def test_what_a_login_costs(hosts: Hosts, capsys: pytest.CaptureFixture[str], who: Person) -> None:
    for name in ("ours", "script"):
        assert login(hosts[name], ALICE).cgroup == leaf_of(ALICE.name)
    ssh = _interleaved(hosts, SSH, lambda login_host: _ssh(login_host, who))
    pam = _interleaved(hosts, PAM, lambda login_host: _pam(login_host, who))
    with capsys.disabled():
        sys.stdout.write(f"\n{who.name}: {_told('ssh', ssh)}\n{who.name}: {_told('pam_open_session', pam)}\n")


def _interleaved(hosts: Hosts, times: int, measure: Callable[[LoginHost], float]) -> dict[str, float]:
    """Medians. What the machine does meanwhile meets all alike; how much `nothing` and `again` differ is its noise."""
    found: dict[str, list[float]] = {name: [] for name in hosts}
    for _ in range(times):
        for name in random.sample(list(hosts), len(hosts)):
            found[name].append(measure(hosts[name]))
    return {name: median(seconds) for name, seconds in found.items()}


def _ssh(login_host: LoginHost, who: Person) -> float:
    begin = time.monotonic()
    assert login(login_host, who, look="true").status == 0
    return time.monotonic() - begin


def _pam(login_host: LoginHost, who: Person) -> float:
    return float(login_host.transaction("sshd", who).stderr) / 1e6


def _told(what: str, took: Mapping[str, float]) -> str:
    return f"{what}, medians: " + ", ".join(f"{name} {seconds * 1000:.2f} ms" for name, seconds in took.items())
