"""Logins in memory: ids, ends, bounds."""

import asyncio

import pytest

from paas_isolate.web import logins
from paas_isolate.web.link import Link
from paas_isolate.web.logins import ABSOLUTE, IDLE, OF_USER, Login, Logins, TooManyError
from paas_isolate.web.tokens import FRESH, TokenLinks
from tests.support.web.fake_link import FakeLink
from tests.web.test_tries import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Logins:
    return Logins(clock)


def login(user: str = "alice") -> tuple[Login, FakeLink]:
    link = FakeLink(user)
    return Login.of(user, link, link.who(), "192.0.2.1"), link


def begun(kept: Logins, user: str = "alice") -> tuple[str, FakeLink]:
    made, link = login(user)
    return asyncio.run(kept.begin(made)), link


def test_each_login_has_an_id_of_its_own(kept: Logins) -> None:
    ids = {begun(kept)[0] for _ in range(OF_USER)}
    assert len(ids) == OF_USER
    assert all(len(each) == 43 for each in ids)  # 32 bytes
    assert not any(number in repr(vars(kept)) for number in ids)


def test_a_login_that_is_not_used_ends(kept: Logins, clock: Clock) -> None:
    number, link = begun(kept)
    clock.now += IDLE - 1
    assert kept.find(number)
    clock.now += IDLE + 1
    assert not kept.find(number)
    asyncio.run(kept.end_old())
    assert link.is_closed
    assert not len(kept)


def test_a_login_that_is_used_ends_after_a_day_of_work(kept: Logins, clock: Clock) -> None:
    number, _ = begun(kept)
    for _ in range(int(ABSOLUTE / 60)):
        assert kept.find(number)
        clock.now += 60
    clock.now += 1
    assert not kept.find(number)


def test_logging_out_closes_the_connection(kept: Logins) -> None:
    number, link = begun(kept)
    asyncio.run(kept.end(number))
    assert link.is_closed
    assert not kept.find(number)
    asyncio.run(kept.end(number))


def test_the_oldest_login_of_a_user_who_has_many_ends(kept: Logins) -> None:
    first, link = begun(kept)
    for _ in range(OF_USER):
        begun(kept)
    assert link.is_closed
    assert not kept.find(first)
    assert len(kept) == OF_USER


def test_all_logins_together_have_a_bound(kept: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "OF_ALL", 2)
    begun(kept, "a")
    begun(kept, "b")
    with pytest.raises(TooManyError):
        begun(kept, "c")


def test_a_forged_token_is_not_the_logins(kept: Logins) -> None:
    made, _ = login()
    assert not made.is_forged(made.csrf)
    for token in ("", "x", made.csrf[:-1], "\ud800", "é" * 43):
        assert made.is_forged(token)


def test_a_tokens_connection_is_kept_for_a_minute(clock: Clock) -> None:
    opened: list[FakeLink] = []

    async def open_link() -> Link:
        opened.append(FakeLink())
        await asyncio.sleep(0)
        return opened[-1]

    async def run() -> None:
        links = TokenLinks(clock)
        first, second = await asyncio.gather(links.find("pi_1", open_link), links.find("pi_1", open_link))
        assert first is second is opened[0]
        assert await links.find("pi_2", open_link) is opened[1]
        clock.now += FRESH + 1
        assert await links.find("pi_1", open_link) is opened[2]
        assert not opened[0].is_closed, "answers may still come"
        clock.now += FRESH * 2
        await links.end_old()
        assert opened[0].is_closed
        await links.end_all()
        assert all(each.is_closed for each in opened)

    asyncio.run(run())


def test_a_token_that_is_refused_is_not_remembered(clock: Clock) -> None:
    async def run() -> None:
        links = TokenLinks(clock)

        async def refused() -> Link:
            raise KeyError

        async def opened() -> Link:
            return FakeLink()

        with pytest.raises(KeyError):
            await links.find("pi_1", refused)
        assert await links.find("pi_1", opened)

    asyncio.run(run())
