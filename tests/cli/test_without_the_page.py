"""The page is a package of its own: without it all other commands work, and `web` says what to install."""

import pytest

from paas_isolate.cli import commands
from paas_isolate.errors import HostError
from tests.support.command_line import outcome


def test_web_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "find_spec", lambda _: None)
    listed = outcome(["--help"])
    assert listed.exit_code == 0
    assert "  token " in listed.stdout
    assert "  web " not in listed.stdout
    with pytest.raises(HostError, match="apt-get install paas-isolate-web"):
        commands.invoke(["web"])
