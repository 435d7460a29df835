"""The hooks of panels, with a fake paas-isolate that prints its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[2] / "config" / "hooks"


def ran(place: Path, *words: str, broken: str = "") -> tuple[int, list[str]]:
    """The exit status, and what paas-isolate was asked; `broken` is the verb that fails."""
    stub = place / "paas-isolate"
    stub.write_text(f'#!/bin/sh\necho "$*" >>{place}/asked\n[ "$1" != "{broken}" ]\n')
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
    done = subprocess.run(
        [HOOKS / words[0], *words[1:]], env=environment, capture_output=True, stdin=subprocess.DEVNULL
    )
    return done.returncode, (place / "asked").read_text().splitlines()


@pytest.mark.parametrize("suspended", ["true", "false"])
def test_suspend_writes_the_file_and_applies_it(tmp_path: Path, suspended: str) -> None:
    status, asked = ran(tmp_path, "suspend", "alice", suspended)
    assert (status, asked) == (0, ["account put alice", "reconcile --account alice --wait 60 --quiet"])


def test_who_does_not_pay_is_stopped_though_the_file_cannot_be_written(tmp_path: Path) -> None:
    assert ran(tmp_path, "suspend", "alice", "true", broken="account") == (4, ["account put alice", "freeze alice"])


def test_who_has_paid_is_not_told_to_go_on_where_the_file_does_not_say_so(tmp_path: Path) -> None:
    assert ran(tmp_path, "suspend", "alice", "false", broken="account") == (1, ["account put alice"])
