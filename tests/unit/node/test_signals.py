import asyncio
import os
import signal

import pytest

from swarmd.node.signals import Wish, Wishes, listen_for_signals, watch_supervisord

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def handlers():
    """The process's own handlers, given back after the test."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_and_the_second_kills(handlers, first, second):
    wishes = Wishes()
    with listen_for_signals(wishes):
        for number, wish in ((first, Wish.STOP), (second, Wish.KILL)):
            os.kill(os.getpid(), number)
            assert wish is await wishes.next()


async def test_a_hang_up_reloads(handlers):
    wishes = Wishes()
    with listen_for_signals(wishes):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            assert Wish.RELOAD is await wishes.next()


async def test_a_signal_after_the_end_does_not_tear_the_last_words(handlers):
    with listen_for_signals(Wishes()):
        pass
    os.kill(os.getpid(), signal.SIGINT)


async def test_a_lost_supervisord_stops_and_never_kills():
    wishes = Wishes()
    wishes.stop()
    wishes.lose_supervisord()
    assert [Wish.STOP, Wish.STOP] == [await wishes.next() for _ in range(2)]


async def test_without_a_supervisord_nothing_is_watched():
    async with asyncio.timeout(5):
        await watch_supervisord(Wishes(), {})
