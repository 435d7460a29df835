"""The loop's hands and ears raise nothing, whatever is raised in them."""

from collections.abc import Iterator

import pytest

from paas_isolate.cli.troubles import Troubles
from paas_isolate.daemon.contained import Contained, ContainedEar
from paas_isolate.daemon.loop import Hands
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.ears.heard import Heard, Kind


class Raising:
    """Every hand of it raises."""

    def __getattr__(self, name: str) -> object:
        def hand(*_: object) -> object:
            raise RecursionError(name)

        return hand


def test_every_hand_is_contained_and_everything_is_looked_at_instead() -> None:
    told: list[tuple[str, Trouble]] = []
    hands: Hands = Contained(Raising(), lambda what, found: told.append((what, found)))  # type: ignore[arg-type]
    heard = Heard(Kind.KNOB, "users/bob")
    assert hands.turn()
    assert hands.patience() == 60
    assert hands.until_served() == 60
    assert hands.until_swept() == 60
    assert (hands.glance(), hands.mend(heard), hands.rewire([heard])) == (False, False, False)
    assert (hands.sweep([1]), hands.serve([]), hands.warm()) == (False, False, False)
    assert hands.edit(["x"]) == 0
    hands.note(heard)
    assert len(told) == len([it for it in vars(Hands) if not it.startswith("_")])
    assert all("RecursionError" in found.what for _, found in told)


class Deaf:
    def fileno(self) -> int:
        return 0

    def heard(self) -> Iterator[Heard]:
        yield Heard(Kind.KNOB)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no letter")


def test_what_an_ear_cannot_understand_may_have_been_anything() -> None:
    told: list[str] = []
    assert [it.kind for it in ContainedEar(Deaf(), lambda what, _: told.append(what)).heard()] == [Kind.KNOB, Kind.LOST]
    assert told == ["what Deaf heard"]


def test_the_same_is_told_once_an_hour_whoever_causes_it(capsys: pytest.CaptureFixture[str]) -> None:
    def raised(message: str) -> Trouble:
        try:
            raise ValueError(message)
        except ValueError as error:
            return trouble(error)

    troubles = Troubles()
    for name in ("bob", "carol", "bob"):
        troubles.tell(name, raised(f"pid {name}"))
    said = capsys.readouterr().err
    assert said.count("Traceback") == 1
    assert all(line.startswith(("bob:", "bob|")) for line in said.splitlines())
