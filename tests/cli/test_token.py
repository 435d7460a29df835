"""token create, list, revoke: a secret that is shown once, and bounds that are kept."""

import json
import stat

import pytest

from paas_isolate.source import tokens
from tests.support.command_line import CommandLine


@pytest.fixture
def root(place: CommandLine) -> CommandLine:
    place.person(root=True)
    return place


def test_a_token_is_shown_once_and_its_hash_kept(root: CommandLine) -> None:
    made = root("token create --scope operate --account alice --account bob --expires 30d --name panel")
    secret = made.stdout.strip()
    assert secret.startswith("pi_")
    assert len(secret) == 46
    file = root.state / tokens.FILE
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (listed,) = json.loads(root("token list --json").stdout)
    assert (listed["scope"], listed["accounts"], listed["name"]) == ("operate", ["alice", "bob"], "panel")
    assert listed["expires"] - listed["created"] == 30 * 86400
    assert secret not in root("token list").stdout
    found = tokens.found(tokens.load(str(root.state)), secret, listed["created"])
    assert found is not None
    assert found.id == listed["id"]
    assert tokens.found([found], secret, listed["expires"]) is None
    assert tokens.found([found], secret + "x", 0) is None


def test_a_revoked_token_is_gone(root: CommandLine) -> None:
    secret = root("token create --scope read --expires never").stdout.strip()
    (listed,) = json.loads(root("token list --json").stdout)
    assert (listed["accounts"], listed["expires"]) == (None, None)
    assert root(f"token revoke {listed['id']}").exit_code == 0
    assert tokens.found(tokens.load(str(root.state)), secret, 0) is None
    again = root(f"token revoke {listed['id']}")
    assert again.exit_code == 2
    assert "no token has the id" in again.stderr


@pytest.mark.parametrize("words", ["--scope all", "--scope read --expires soon", "--scope read --account ../x"])
def test_bounds_that_cannot_be_read_make_no_token(root: CommandLine, words: str) -> None:
    assert root(f"token create {words}").exit_code == 2
    assert not (root.state / tokens.FILE).exists()


def test_a_damaged_file_is_told(root: CommandLine) -> None:
    (root.state / tokens.FILE).write_text("{}")
    assert root("token list").exit_code == 5
