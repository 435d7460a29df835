"""debian/tests (autopkgtest's README.package-tests): it is run where it may break the machine, and nowhere else."""

import os
import subprocess
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "packaging" / "debian" / "tests"


def stanzas() -> list[dict[str, str]]:
    parts = (TESTS / "control").read_text().strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in part.splitlines()) for part in parts]


def words(text: str) -> set[str]:
    return set(text.replace(",", " ").split())


def test_each_test_is_a_program_and_each_program_a_test() -> None:
    named = {name for stanza in stanzas() for name in words(stanza["Tests"])}
    assert named == {path.name for path in TESTS.iterdir()} - {"control"}
    assert all(os.access(TESTS / name, os.X_OK) for name in named)


def test_each_needs_root_on_a_machine_of_its_own_with_both_packages() -> None:
    for stanza in stanzas():
        assert stanza.keys() == {"Tests", "Depends", "Restrictions"}
        assert words(stanza["Restrictions"]) >= {"isolation-machine", "needs-root", "breaks-testbed"}
        assert "@" in words(stanza["Depends"])


def test_by_hand_it_refuses_where_it_may_not_run(tmp_path: Path) -> None:
    """Without root, or without systemd: nothing is tried."""
    id_of_a_user = tmp_path / "id"
    id_of_a_user.write_text("#!/bin/sh\necho 1000\n")
    id_of_a_user.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([TESTS / "main-job"], env=path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "FAILED: must run as root\n"
