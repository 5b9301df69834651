"""A call that only the leader can answer, while nobody leads for long."""

import random
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio

from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlServicer, ControlStub
from swarmd.errors import NotLeaderError, UnavailableError
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.channel import dial_control
from swarmd.rpc.server import make_server
from tests.fakes.clock import FakeClock
from tests.integration.rpc.probe import ME, running

pytestmark = pytest.mark.timeout(60)


class Deposed(ControlServicer):
    """A manager that takes itself for the leader each time, and finds that it is not."""

    def __init__(self, clock: FakeClock) -> None:
        self.tried_at: list[float] = []
        self._clock = clock

    is_here = True

    async def ListConfigs(self, request: Any, context: Any) -> api.ListConfigsResponse:  # noqa: N802
        self.tried_at.append(self._clock.monotonic())
        raise NotLeaderError

    async def find(self, *, within: float, passed_on: bool) -> None:
        raise UnavailableError(f"there is no quorum: waited {within} s more ({passed_on=})")

    async def pause(self) -> None:
        self._clock.advance(seconds=3.0)


async def test_it_is_asked_again_until_it_has_waited_for_a_leader_long_enough(directory: Path):
    clock = FakeClock()
    deposed = Deposed(clock)
    server = make_server(
        [deposed],
        Authorizer(ME.identity),
        certificates=ME,
        directory=directory / "run",
        clock=clock,
        random=random.Random(1),
        leader=deposed,  # type: ignore[arg-type]
    )
    server.listen_control(directory / "c.sock")
    async with running(server), await dial_control(directory / "c.sock") as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await ControlStub(channel).ListConfigs(api.ListConfigsRequest())
    assert StatusCode.UNAVAILABLE == caught.value.code()
    assert "there is no quorum: waited 0.0 s more (passed_on=False)" == caught.value.details()
    assert [0.0, 3.0, 6.0, 9.0] == deposed.tried_at
