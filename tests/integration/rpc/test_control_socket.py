"""The control socket: dead, taken, or too deep; each is told in one line."""

import asyncio
import contextlib
import random
import socket

import pytest

from swarmd.clock import SystemClock
from swarmd.errors import (
    CannotBootError,
    UnavailableError,
)
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.channel import dial_control
from swarmd.rpc.server import make_server
from tests.integration.rpc.probe import (
    ME,
    root_of,
    running,
)


@pytest.mark.parametrize("kind", ["missing", "stale", "mute", "plain file"])
async def test_a_control_socket_that_nobody_answers_is_told_in_one_line(control, kind):
    with contextlib.ExitStack() as stack:
        if kind == "plain file":
            control.write_text("")
        elif kind != "missing":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(control))
            listener.listen() if kind == "mute" else listener.close()
            if kind == "mute":
                hang_up = asyncio.get_running_loop().run_in_executor(None, _hang_up, listener)
        with pytest.raises(UnavailableError) as caught:
            await dial_control(control)
        if kind == "mute":
            await hang_up
    assert f"no swarmd answers at {control}: is it running?" in str(caught.value)
    assert "\n" not in str(caught.value)


def _hang_up(listener: socket.socket) -> None:
    listener.accept()[0].close()


async def test_a_second_server_on_a_live_control_socket_cannot_boot(server, control, make):
    other = make_server(
        [],
        Authorizer(ME.identity),
        certificates=ME,
        directory=control.parent / "other",
        clock=SystemClock(),
        random=random.Random(1),
    )
    with pytest.raises(CannotBootError, match="in use"):
        other.listen_control(control)
    await other.close()
    async with await dial_control(control) as channel:
        assert 100 == len(await root_of(channel))


async def test_a_deep_directory_is_not_too_deep_for_the_inner_socket(directory, probe):
    deep = directory / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = make_server(
        [probe],
        Authorizer(ME.identity),
        certificates=ME,
        directory=deep / "run",
        clock=SystemClock(),
        random=random.Random(1),
    )
    server.listen_control(directory / "c.sock")
    async with running(server), await dial_control(directory / "c.sock") as channel:
        assert 100 == len(await root_of(channel))
    assert [] == list((deep / "run").iterdir())
