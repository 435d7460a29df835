"""The real connection, over a real socket, to a helper of the test."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.web import fan_out, helper_link
from paas_isolate.web.helper_link import HelperLink, OpenHelperLink
from paas_isolate.web.link import AskError, LinkClosedError
from paas_isolate.web.site import Password, Token, TooOftenError, WrongError
from tests.support.web.fake_helper import Connection, Talk, with_helper

ALICE = Password("alice", "right")
Use = Callable[[HelperLink], Awaitable[None]]
Run = Callable[[Talk, Use], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Log alice in, and use her connection while `talk` answers."""
    path = tmp_path / "socket"

    def run(talk: Talk, use: Use) -> None:
        async def logged_in(helper: Connection) -> None:
            assert await helper.line() == {"user": "alice", "password": "right", "from": "192.0.2.1"}
            await helper.send({"told": {"user": "alice"}})
            await talk(helper)

        async def used() -> None:
            user, link = await OpenHelperLink(str(path))(ALICE, "192.0.2.1")
            assert user == "alice"
            try:
                await use(link)
            finally:
                await link.close()
            assert link.is_closed

        async def all_of_it() -> None:
            async with asyncio.timeout(10):
                await with_helper(path, logged_in, used)

        asyncio.run(all_of_it())

    return run


async def silent(helper: Connection) -> None:
    await helper.reader.read()


def test_answers_come_in_any_order(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        asked = [await helper.line() for _ in range(3)]
        assert [each["verb"] for each in asked] == ["me", "faults", "explain"]
        assert asked[1] == {"verb": "faults", "about": "alice", "options": {"kind": "killed"}, "id": asked[1]["id"]}
        for each in reversed(asked):
            await helper.send({"id": each["id"], "told": {"verb": each["verb"]}})

    async def use(link: HelperLink) -> None:
        asked = link.ask("me"), link.ask("faults", "alice", {"kind": "killed"}), link.ask("explain")
        assert [each["verb"] for each in await asyncio.gather(*asked)] == ["me", "faults", "explain"]

    run(talk, use)


def test_a_body_follows_its_request(run: Run) -> None:
    body = bytes(range(256)) * 1000

    async def talk(helper: Connection) -> None:
        request = await helper.line()
        assert await helper.body(request["body"]) == body
        await helper.send({"id": request["id"], "told": {}})

    async def use(link: HelperLink) -> None:
        assert await link.ask("put", "alice", {}, body) == {}

    run(talk, use)


def test_a_refusal_says_why(run: Run) -> None:
    complaint = {"file": "a", "line": 3}

    async def talk(helper: Connection) -> None:
        request = await helper.line()
        refused = {"error": "it is wrong", "status": 2, "complaints": [complaint], "reason": "unknown"}
        await helper.send({"id": request["id"], **refused})

    async def use(link: HelperLink) -> None:
        with pytest.raises(AskError) as refused:
            await link.ask("put")
        error = refused.value
        assert (error.words, error.status, error.complaints, error.reason) == (
            "it is wrong",
            2,
            (complaint,),
            "unknown",
        )

    run(talk, use)


def test_a_long_answer(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        await helper.send({"id": (await helper.line())["id"], "told": {"text": "x" * (2_000_000)}})

    async def use(link: HelperLink) -> None:
        assert len((await link.ask("logs"))["text"]) == 2_000_000

    run(talk, use)


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]\n", b"\xff\n", b"[" * 100_000 + b"\n", b"x" * (3 << 20), b'{"id": 1, "told": []}\n']
)
def test_what_is_no_answer_ends_the_connection(run: Run, answer: bytes) -> None:
    async def talk(helper: Connection) -> None:
        await helper.line()
        helper.writer.write(answer)
        await helper.writer.drain()

    async def use(link: HelperLink) -> None:
        with pytest.raises(LinkClosedError):
            await link.ask("me")

    run(talk, use)


def test_the_end_of_the_connection_ends_what_is_asked(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        await helper.line()
        await helper.line()

    async def use(link: HelperLink) -> None:
        for answer in await asyncio.gather(link.ask("me"), link.ask("faults"), return_exceptions=True):
            assert isinstance(answer, LinkClosedError)
        with pytest.raises(LinkClosedError):
            await link.ask("me")

    run(talk, use)


def test_a_daemon_that_does_not_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_link, "_patience", lambda _: 0.05)

    async def use(link: HelperLink) -> None:
        with pytest.raises(AskError) as refused:
            await link.ask("me")
        assert refused.value.status == 75
        assert not link._waiting

    run(silent, use)


def test_an_answer_that_nobody_waits_for_any_more(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        first, second = await helper.line(), await helper.line()
        await helper.send({"id": first["id"], "told": {"n": 1}}, {"id": second["id"], "told": {"n": 2}})

    async def use(link: HelperLink) -> None:
        left = asyncio.create_task(link.ask("me"))
        await asyncio.sleep(0)
        left.cancel()
        assert await link.ask("me") == {"n": 2}

    run(talk, use)


def event(number: int) -> dict[str, Any]:
    return {"id": f"aa.{number}", "kind": "fault", "account": "alice", "words": "killed"}


async def subscribed(helper: Connection, *events: int, last: int = 7) -> None:
    request = await helper.line()
    assert request["verb"] == "events"
    told = {"id": request["id"], "told": {"events": [], "last": f"aa.{last}", "missing": False}}
    await helper.send(told, *({"id": request["id"], "event": event(n)} for n in events))


def test_listeners_share_one_subscription(run: Run) -> None:
    going = asyncio.Event()

    async def talk(helper: Connection) -> None:
        await subscribed(helper, 8, 9)
        await going.wait()
        await helper.send({"id": 1, "event": event(10)})
        assert not await helper.reader.read()  # no second subscription

    async def use(link: HelperLink) -> None:
        first = link.events()
        told = await anext(first)
        seen = [each["id"] for each in told["events"]]
        while len(seen) < 2:
            seen.append((await anext(first))["id"])
        assert seen == ["aa.8", "aa.9"]
        second, third, fourth = link.events("aa.7"), link.events("aa.8"), link.events()
        assert [each["id"] for each in (await anext(second))["events"]] == ["aa.8", "aa.9"]
        assert [each["id"] for each in (await anext(third))["events"]] == ["aa.9"]
        assert await anext(fourth) == {"events": [], "last": "aa.9", "missing": False}
        assert (await anext(link.events("bb.1")))["missing"]
        going.set()
        for listener in (first, second, third, fourth):
            assert (await anext(listener))["id"] == "aa.10"

    run(talk, use)


def test_the_end_of_the_connection_ends_listeners(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        await subscribed(helper)

    async def use(link: HelperLink) -> None:
        listener = link.events()
        await anext(listener)
        with pytest.raises(LinkClosedError):
            await anext(listener)

    run(talk, use)


def test_a_listener_that_does_not_read_ends_alone(run: Run) -> None:
    many = fan_out.UNREAD + 2
    going = asyncio.Event()

    async def talk(helper: Connection) -> None:
        await subscribed(helper)
        await going.wait()
        for n in range(many):
            await helper.send({"id": 1, "event": event(8 + n)})
        await helper.send({"id": (await helper.line())["id"], "told": {}})
        await silent(helper)

    async def use(link: HelperLink) -> None:
        slow, quick = link.events(), link.events()
        await anext(slow)
        await anext(quick)
        going.set()
        for _ in range(many):
            await anext(quick)
        await link.ask("me")
        assert len([each async for each in slow]) == fan_out.UNREAD
        assert not link.is_closed

    run(talk, use)


def test_a_subscription_that_is_refused_is_tried_again(run: Run) -> None:
    async def talk(helper: Connection) -> None:
        await helper.send({"id": (await helper.line())["id"], "error": "no", "status": 1})
        await subscribed(helper)
        await silent(helper)

    async def use(link: HelperLink) -> None:
        with pytest.raises(AskError):
            await anext(link.events())
        assert (await anext(link.events()))["last"] == "aa.7"

    run(talk, use)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"error": "user or password is wrong", "status": 1}, WrongError),
        ({"error": "too many tries", "status": 75}, TooOftenError),
        ({}, WrongError),
        (None, LinkClosedError),
    ],
)
def test_a_login_that_is_refused(answer: object, error: type[Exception], tmp_path: Path) -> None:
    async def talk(helper: Connection) -> None:
        assert await helper.line() == {"token": "pi_x", "from": ""}
        if answer is not None:
            await helper.send(answer)

    async def use() -> None:
        with pytest.raises(error):
            await OpenHelperLink(str(tmp_path / "socket"))(Token("pi_x"), "")

    asyncio.run(with_helper(tmp_path / "socket", talk, use))


def test_without_a_helper_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(LinkClosedError):
        asyncio.run(OpenHelperLink(str(tmp_path / "socket"))(ALICE, ""))


def test_a_line_that_is_too_long_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(WrongError):
        asyncio.run(OpenHelperLink(str(tmp_path / "socket"))(Password("a", "x" * 5000), ""))
