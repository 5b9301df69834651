"""Who is registered, and how often one may try."""

from random import Random

import pytest

from swarmd.errors import Status, UnavailableError
from tests.fakes.clock import FakeClock
from workers.manager.dispatcher.sessions import (
    Feeds,
    NodeNotRegisteredError,
    SessionInvalidError,
    Sessions,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(clock: FakeClock) -> Sessions:
    return Sessions(clock, Random(0))


def register(sessions: Sessions) -> str:
    sessions.count_attempt("n1")
    return sessions.register("n1")


def test_session_is_valid_until_the_node_registers_anew(sessions: Sessions) -> None:
    first = register(sessions)
    sessions.check("n1", first)
    second = register(sessions)
    sessions.check("n1", second)
    with pytest.raises(SessionInvalidError, match="session invalid") as refused:
        sessions.check("n1", first)
    assert Status.INVALID_ARGUMENT == refused.value.status


def test_node_that_never_registered_is_not_found(sessions: Sessions) -> None:
    with pytest.raises(NodeNotRegisteredError, match="node not registered") as refused:
        sessions.check("n1", "any")
    assert Status.NOT_FOUND == refused.value.status


@pytest.mark.parametrize("session_id", ["", "made-up"])
def test_expected_node_has_no_valid_session(sessions: Sessions, session_id: str) -> None:
    sessions.expect("n1")
    with pytest.raises(SessionInvalidError):
        sessions.check("n1", session_id)


def test_four_sessions_are_allowed_in_eight_seconds(sessions: Sessions, clock: FakeClock) -> None:
    for _ in range(4):
        register(sessions)
        clock.advance(seconds=1)
    with pytest.raises(UnavailableError, match="node n1 exceeded rate limit count"):
        register(sessions)
    clock.advance(seconds=8)
    register(sessions)


def test_refused_attempts_do_not_prolong_the_wait(sessions: Sessions, clock: FakeClock) -> None:
    for _ in range(4):
        register(sessions)
    for _ in range(8):
        clock.advance(seconds=1)
        with pytest.raises(UnavailableError):
            register(sessions)
    clock.advance(seconds=0.1)
    register(sessions)


def test_lost_node_starts_with_a_clean_slate(sessions: Sessions) -> None:
    for _ in range(4):
        register(sessions)
    sessions.remove("n1")
    register(sessions)


def test_feed_keeps_what_was_not_taken() -> None:
    feeds = Feeds()
    with feeds.open("n1") as feed:
        feeds.wake("n1", "a", "b", "a", "c")
        feeds.wake("n2", "z")
        assert ["a", "b"] == feed.take(2)
        assert ["c"] == feed.take(2)
    assert "n1" not in feeds


async def test_feed_without_news_waits_and_any_wake_ends_that() -> None:
    feeds = Feeds()
    with feeds.open("n1") as feed:
        feeds.wake_all(lost=True)
        await feed.wait()
        assert feed.lost
        assert [] == feed.take(9)
