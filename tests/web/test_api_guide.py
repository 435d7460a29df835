"""The requests of the guide are those of the interface."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.web.api_client import ApiClient
from tests.support.web.control_link import FakeDaemon

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "api.md"
LINES = re.findall(r"^api (.*\$host/.*)$", GUIDE.read_text(), re.MULTILINE)


def test_the_guide_has_examples() -> None:
    assert len(LINES) > 10


@pytest.mark.parametrize("line", [line for line in LINES if "/events" not in line])
def test_an_example_is_answered(line: str) -> None:
    words = shlex.split(line, comments=True)
    path = next(word for word in words if word.startswith("$host")).replace("$host", "/v1")
    method = words[words.index("-X") + 1] if "-X" in words else "PUT" if "-T" in words else "GET"
    headers = dict(word.split(": ", 1) for word in words if word.startswith("If-None-Match"))
    body = b"plan: small\n" if "-T" in words else None
    answer = ApiClient(FakeDaemon()).request(method, path, headers=headers, content=body)
    assert answer.status_code == 200, answer.text
