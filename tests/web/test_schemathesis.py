"""schemathesis finds nothing: requests that are made from the description, rightly and wrongly, with the daemon's own
Control behind. The stage interface of scripts/test --long runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from paas_isolate.web import openapi
from tests.support.web.api_client import app_of
from tests.support.web.control_link import FakeDaemon
from tests.support.web.loopback import served

CONFIGURATION = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "412", "413", "415", "422", "5xx"]
"""
"""412: what tag a file has cannot be known from the description. 413: a body that is too long is wrong by it, too."""


@pytest.mark.long
@pytest.mark.parametrize(("login", "examples"), [("root", 30), ("alice", 5), ("root-read", 5)])
def test_schemathesis_finds_nothing(login: str, examples: int, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    daemon = FakeDaemon()
    with served(app_of(daemon)) as address:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}{openapi.PATH}"),
            *("--header", f"Authorization: Bearer {login}"),
            "--exclude-path=/v1/events",  # it does not end
            "--checks=all",
            f"--max-examples={examples}",
            "--request-timeout=10",
            "--no-color",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[:20000]
    assert not daemon.bugs
