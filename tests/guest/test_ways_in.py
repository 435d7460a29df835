"""Every way to start a customer's program: which are in the tree from the first instruction on, and which are moved in
later. Root looks at all processes of customers ten times a second meanwhile."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.guest.machine import cgroup_of, pids_of
from tests.support.guest.paas import Paas
from tests.support.guest.scene import ACCOUNT, GuestScene, Tried
from tests.support.guest.ways import WAYS, Through, Way

HEAD = ("way", "comes in by", "first instruction", "a second later", "seen outside")


@pytest.fixture(scope="module", autouse=True)
def told(guest_scene: GuestScene) -> Iterator[None]:
    """pytest -s shows what came of it all."""
    yield
    effort = guest_scene.watch.stop()
    borrowed = Counter(each.name for each in guest_scene.borrowed)
    print("\n" + table(guest_scene.rows))  # noqa: T201
    print(f"root looked {effort.looks} times in {effort.seconds:.0f} s, with {effort.cpu:.1f} s of CPU time")  # noqa: T201
    print(f"root as somebody else for a moment: {dict(borrowed)}")  # noqa: T201
    assert effort.looks / effort.seconds > 5


def marked(way: Way) -> object:
    return pytest.param(way, id=way.name.replace(" ", "-"), marks=[pytest.mark.long] if way.long else [])


@pytest.mark.parametrize("way", [marked(way) for way in WAYS])
def test_a_way_in(guest_scene: GuestScene, way: Way) -> None:
    with guest_scene.tried(way) as tried:
        guest_scene.rows.append(row(tried))
        came = f"exit status {tried.status}\n{tried.output}\n{tried.words}\n{tried.seen}"
        match way.through:
            case Through.SWEEP:
                assert is_outside(tried), came
                is_swept_in(guest_scene, Paas(), way)
            case Through.REFUSED:
                assert tried.status != 0, came
                assert is_inside(tried), came
            case _:
                assert tried.status == 0, came
                assert is_inside(tried), came
                assert tried.seen, came


def is_inside(tried: Tried) -> bool:
    """In its leaves from the first instruction on, and never seen anywhere else."""
    leaves = {f"users/{ACCOUNT}/{leaf}" for leaf in tried.way.places or (("login",) if tried.seen else ())}
    return tried.first == tried.later == leaves and not tried.outside


def is_outside(tried: Tried) -> bool:
    places = tried.first | tried.later | {sighting.cgroup for sighting in tried.outside}
    return bool(tried.outside) and all(place.startswith("/") for place in places)


def is_swept_in(guest_scene: GuestScene, paas: Paas, way: Way) -> None:
    paas("coverage", code=3)
    paas("reconcile")
    found = {cgroup_of(pid) for pid in pids_of(guest_scene.user(way).uid)}
    assert found == {f"users/{ACCOUNT}/other"}


def row(tried: Tried) -> tuple[str, ...]:
    outside = len({sighting.pid for sighting in tried.outside})
    seen = len({sighting.pid for sighting in tried.seen})
    return (tried.way.name, tried.way.through, said(tried.first), said(tried.later), f"{outside} of {seen}")


def said(places: set[str]) -> str:
    short = sorted(place.removeprefix(f"users/{ACCOUNT}/") for place in places)
    return ", ".join(short) or "-"


def table(rows: list[tuple[str, ...]]) -> str:
    wide = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(line, wide, strict=True)) for line in (HEAD, *rows))
    return "\n".join(line.rstrip() for line in lines)
