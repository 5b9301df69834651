"""The health service."""

from swarmd import api
from swarmd.errors import Status
from tests.unit.manager.control.calls import refusal
from workers.manager.health import RAFT, HealthServicer

SERVING = api.HealthCheckResponse.ServingStatus.SERVING
NOT_SERVING = api.HealthCheckResponse.ServingStatus.NOT_SERVING


async def check(health: HealthServicer, service: str = "") -> int:
    return (await health.Check(api.HealthCheckRequest(service=service), None)).status


async def test_a_manager_that_answers_serves() -> None:
    assert SERVING == await check(HealthServicer())


async def test_a_part_serves_when_it_says_so() -> None:
    health = HealthServicer()
    health.set(RAFT, serving=False)
    assert NOT_SERVING == await check(health, "Raft")
    health.set(RAFT, serving=True)
    assert SERVING == await check(health, "Raft")


async def test_an_unknown_part_is_not_found() -> None:
    told = await refusal(check(HealthServicer(), "raft"))
    assert (Status.NOT_FOUND, "unknown service") == told
