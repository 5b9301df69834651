"""Each cell of the table of calls: before start, running, stop asked, closed."""

import asyncio

import pytest

from swarmd.errors import CannotBootError
from swarmd.ipc.messages import Failed
from swarmd.node.errors import NodeNotStartedError, NodeStartedError, NodeStoppedError


async def running(bench):
    await bench.make_ready()


async def stop_asked(bench):
    """The agent does not stop yet: the node is still on its way."""
    await bench.make_ready()
    (await bench.child("agent"))._ignores_stop = True
    bench.node.ask_to_stop()
    await asyncio.sleep(0)


async def closed_clean(bench):
    await bench.make_ready()
    await bench.node.stop()


async def closed_by_error(bench):
    await bench.node.start()
    manager = await bench.child("manager")
    manager.say(Failed("port in use", cannot_boot=True))
    manager.exit(78)
    await bench.node.closed.wait()


def events(node):
    named = {"started": node.started, "ready": node.ready}
    named |= {"stopped": node.stopped, "closed": node.closed}
    return {name for name, event in named.items() if event.is_set()}


async def test_before_start_no_event_is_set(bench):
    assert set() == events(bench.node)


async def test_start_before_start_sets_started_and_runs(bench):
    await bench.node.start()
    assert {"started"} == events(bench.node)
    await bench.child("manager")


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (running, NodeStartedError),
        (stop_asked, NodeStoppedError),
        (closed_clean, NodeStoppedError),
        (closed_by_error, CannotBootError),
    ],
)
async def test_start_later_raises(bench, state, error):
    await state(bench)
    before = events(bench.node)
    with pytest.raises(error):
        await bench.node.start()
    assert before == events(bench.node)


async def test_stop_before_start_raises(bench):
    with pytest.raises(NodeNotStartedError):
        await bench.node.stop()
    assert set() == events(bench.node)


async def test_stop_when_running_sets_stopped_and_waits_for_closed(bench):
    await running(bench)
    (await bench.child("agent"))._ignores_stop = True
    stopping = asyncio.create_task(bench.node.stop())
    await bench.node.stopped.wait()
    assert {"started", "ready", "stopped"} == events(bench.node)
    assert not stopping.done()
    (await bench.child("agent")).exit(0)
    await stopping
    assert {"started", "ready", "stopped", "closed"} == events(bench.node)


async def test_stop_when_stop_was_asked_waits_for_closed(bench):
    await stop_asked(bench)
    stopping = asyncio.create_task(bench.node.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    (await bench.child("agent")).exit(0)
    await stopping
    assert bench.node.closed.is_set()


async def test_stop_when_closed_returns(bench):
    await closed_clean(bench)
    await bench.node.stop()


async def test_stop_when_closed_by_an_error_raises_it(bench):
    await closed_by_error(bench)
    with pytest.raises(CannotBootError, match="port in use"):
        await bench.node.stop()
    assert {"started", "closed"} == events(bench.node)


async def test_stop_during_start_stops(bench):
    await bench.node.start()
    await bench.node.stop()
    assert {"started", "stopped", "closed"} == events(bench.node)


@pytest.mark.parametrize("state", [running, stop_asked])
async def test_err_waits_for_closed(bench, state):
    await state(bench)
    waiting = asyncio.create_task(bench.node.err())
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.node.ask_to_stop()
    (await bench.child("agent")).exit(0)
    assert None is await waiting


async def test_err_before_start_waits_for_the_end_of_a_later_run(bench):
    waiting = asyncio.create_task(bench.node.err())
    await closed_clean(bench)
    assert None is await waiting


async def test_err_gives_no_error_after_a_clean_stop(bench):
    await closed_clean(bench)
    assert None is await bench.node.err()


async def test_err_gives_the_error_that_ended_the_node(bench):
    await closed_by_error(bench)
    assert "manager cannot boot: port in use" == str(await bench.node.err())


@pytest.mark.parametrize("call", ["stop", "err"])
@pytest.mark.parametrize("state", [stop_asked])
async def test_a_call_ends_at_once_when_its_caller_is_cancelled(bench, state, call):
    await state(bench)
    before = events(bench.node)
    waiting = asyncio.create_task(getattr(bench.node, call)())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert before == events(bench.node)
    (await bench.child("agent")).exit(0)
    assert None is await bench.node.err()


async def test_a_start_that_was_cancelled_before_it_ran_changes_nothing(bench):
    starting = asyncio.create_task(bench.node.start())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set() == events(bench.node)
    await bench.node.start()


async def test_any_number_of_callers_may_stop(bench):
    await running(bench)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(bench.node.stop())
    assert ["TERM"] == (await bench.child("agent")).signals


async def test_of_two_starts_one_runs(bench):
    results = await asyncio.gather(bench.node.start(), bench.node.start(), return_exceptions=True)
    assert [type(None), NodeStartedError] == [type(result) for result in results]


async def test_ready_is_set_once_and_stays(bench):
    await running(bench)
    (await bench.child("agent")).exit(1)
    await bench.child("agent", 2)
    assert bench.node.ready.is_set()
