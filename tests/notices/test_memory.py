"""What was told outlives the program, a reboot and a full disk."""

from pathlib import Path

import pytest

from paas_isolate.metering.notices import Told
from paas_isolate.notices import memory
from paas_isolate.notices.memory import Remembered

SAID = Remembered({"rule": {"alice": Told(1, 2, True)}}, 5, 5, {"x": "y"}, {"alice": (7, 8)})


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "run").mkdir()
    return str(tmp_path / "state"), str(tmp_path / "run")


def test_what_is_saved_is_loaded(places: tuple[str, str]) -> None:
    assert memory.load(*places) == Remembered()
    memory.save(*places, SAID, lasting=True)
    assert memory.load(*places) == SAID
    assert (Path(places[0]) / "notices.json").stat().st_mode & 0o777 == 0o600


def test_a_reboot_keeps_what_was_told(places: tuple[str, str]) -> None:
    memory.save(*places, SAID, lasting=True)
    memory.save(*places, SAID._replace(written=9), lasting=False)
    (Path(places[1]) / "notices.json").unlink()
    assert memory.load(*places) == SAID._replace(cpu={})


def test_the_newer_one_counts(places: tuple[str, str]) -> None:
    """The disk of the state is full, and /run is not."""
    memory.save(*places, SAID, lasting=True)
    Path(places[0]).rename(places[0] + ".away")
    Path(places[0]).write_text("a file where the directory should be")
    newer = Remembered({"rule": {}}, 9)
    memory.save(*places, newer, lasting=True)
    Path(places[0]).unlink()
    Path(places[0] + ".away").rename(places[0])
    assert memory.load(*places) == newer


def test_where_nothing_can_be_written_it_is_an_error(places: tuple[str, str]) -> None:
    for place in places:
        with pytest.MonkeyPatch.context():
            Path(place).rmdir() if Path(place).is_dir() else None
            Path(place).write_text("")
    with pytest.raises(OSError):
        memory.save(*places, SAID, lasting=True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"told": 3}', '{"told": {"a": {"b": [1]}}, "written": 1}', "[" * 99999]
)
def test_a_damaged_file_says_nothing(text: str, places: tuple[str, str]) -> None:
    (Path(places[1]) / "notices.json").write_text(text)
    assert memory.load(*places) == Remembered()


def test_customers_switch_their_mails(places: tuple[str, str]) -> None:
    state, _ = places
    assert memory.switched_off(state) == frozenset()
    memory.switch(state, "alice", on=True)
    for _ in range(2):
        memory.switch(state, "alice", on=False)
    memory.switch(state, "bob", on=False)
    assert memory.switched_off(state) == {"alice", "bob"}
    assert memory.is_off(state, "alice")
    memory.forget_all_but(state, {"alice"})
    assert memory.switched_off(state) == {"alice"}
    memory.switch(state, "alice", on=True)
    assert not memory.is_off(state, "alice")
