"""Docker's rules of health, and when the next check is due."""

import asyncio
from contextlib import aclosing

import pytest

from swarmd import api
from swarmd.api import times
from tests.fakes.clock import FakeClock
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.health import (
    Health,
    HealthCheck,
    Result,
    Verdict,
    after,
    follow,
    parse,
    pause,
)

CHECK = HealthCheck(("true",), interval=30, retries=2, start_period=60, start_interval=5)
PASSED, FAILED = Result(passed=True), Result(passed=False, said="no")
HEALTHY = Health(Verdict.HEALTHY)


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        (["CMD", "curl", "-f", "x"], ("curl", "-f", "x")),
        (["CMD-SHELL", "curl x || exit 1"], ("/bin/sh", "-c", "curl x || exit 1")),
    ],
)
def test_a_test_is_a_command_or_a_shell_s(test: list[str], argv: tuple[str, ...]) -> None:
    found = parse(api.HealthConfig(test=test))
    assert HealthCheck(argv, interval=30, timeout=30, retries=3, start_interval=5) == found


@pytest.mark.parametrize("test", [[], ["NONE"]])
def test_no_test_is_no_check(test: list[str]) -> None:
    assert parse(api.HealthConfig(test=test)) is None


@pytest.mark.parametrize("test", [["CMD"], ["CMD-SHELL"], ["CMD-SHELL", "a", "b"], ["curl"]])
def test_what_is_no_test_is_refused(test: list[str]) -> None:
    with pytest.raises(RejectedError, match=r"^healthcheck: "):
        parse(api.HealthConfig(test=test))


def test_what_the_config_says_wins_over_the_defaults() -> None:
    config = api.HealthConfig(test=["CMD", "x"], retries=7, interval=times.duration(0.5))
    found = parse(config)
    assert found is not None
    assert (7, 0.5) == (found.retries, found.interval)


def test_the_first_check_that_passes_makes_it_healthy() -> None:
    assert HEALTHY == after(Health(failures=1), CHECK, PASSED, age=5)


def test_a_failure_in_the_start_period_does_not_count() -> None:
    assert Health(Verdict.STARTING, 0, "no") == after(Health(), CHECK, FAILED, age=59)


def test_a_failure_after_a_pass_counts_even_in_the_start_period() -> None:
    assert Health(Verdict.HEALTHY, 1, "no") == after(HEALTHY, CHECK, FAILED, age=10)


def test_so_many_failures_in_a_row_make_it_unhealthy() -> None:
    once = after(HEALTHY, CHECK, FAILED, age=100)
    assert Health(Verdict.UNHEALTHY, 2, "no") == after(once, CHECK, FAILED, age=130)


def test_a_pass_in_between_starts_the_count_again() -> None:
    once = after(HEALTHY, CHECK, FAILED, age=100)
    assert HEALTHY == after(once, CHECK, PASSED, age=130)


@pytest.mark.parametrize(
    ("health", "age", "seconds"), [(Health(), 10, 5), (Health(), 60, 30), (HEALTHY, 10, 30)]
)
def test_checks_are_denser_until_it_has_started(health: Health, age: float, seconds: float) -> None:
    assert seconds == pause(health, CHECK, age)


async def test_checks_follow_the_clock() -> None:
    clock = FakeClock()
    results = [FAILED, PASSED, FAILED, FAILED]
    verdicts = []

    async def probe() -> Result:
        return results.pop(0)

    async def watch() -> None:
        async with aclosing(follow(Health(), CHECK, probe, clock, clock.now())) as course:
            async for health in course:
                verdicts.append((round(clock.monotonic()), health.verdict))
                if health.verdict is Verdict.UNHEALTHY:
                    return

    watching = asyncio.create_task(watch())
    for _ in range(14):
        await clock.wait_sleepers()
        clock.advance(seconds=5)
        await asyncio.sleep(0)
    await watching
    expected = [(5, "starting"), (10, "healthy"), (40, "healthy"), (70, "unhealthy")]
    assert expected == [(second, verdict.value) for second, verdict in verdicts]
