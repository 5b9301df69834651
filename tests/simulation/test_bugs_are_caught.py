"""A bug put in on purpose is found within a few seeds, and called by its name."""

from itertools import count

import pytest

from swarmd.api import breakers
from workers.manager.dispatcher import assignments, status_updates
from workers.manager.orchestrators import job_plan, restart_breaker, restarts, update_plan
from workers.manager.scheduler import filters
from workers.simulation.disk import SimulatedBackend
from workers.simulation.scenario import Plan, Scenario

MOST_SEEDS = 60


def first_violation(plan=Plan(), seeds=MOST_SEEDS):  # noqa: B008  it is frozen
    for seed in range(seeds):
        violation = Scenario(seed, plan).run().violation
        if violation is not None:
            return violation.invariant
    return "none"


@pytest.mark.timeout(120)
def test_a_scheduler_that_ignores_reservations(monkeypatch):
    monkeypatch.setattr(filters, "_resources", lambda demand: None)
    assert "room" == first_violation()


@pytest.mark.timeout(120)
def test_a_scheduler_that_ignores_constraints(monkeypatch):
    monkeypatch.setattr(filters, "_constraints", lambda task: None)
    assert "placed" == first_violation()


@pytest.mark.timeout(120)
def test_a_restart_that_does_not_wait_for_the_old_task(monkeypatch):
    monkeypatch.setattr(restarts, "_stops_still", lambda task, tx: False)
    assert "one-per-slot" == first_violation()


@pytest.mark.timeout(120)
def test_a_dispatcher_that_lets_states_go_back(monkeypatch):
    def apply_any(task, status, manager_id, now):
        task.status.CopyFrom(status)
        return True

    monkeypatch.setattr(status_updates, "apply_status", apply_any)
    assert "forward" == first_violation(Plan(faults=("network",)))


@pytest.mark.timeout(120)
def test_a_disk_that_forgets_what_it_took(monkeypatch):
    writes, write = count(), SimulatedBackend._write

    def forgetful(self, version, rows):
        if next(writes) % 5:
            write(self, version, rows)

    monkeypatch.setattr(SimulatedBackend, "_write", forgetful)
    assert "durable" == first_violation(Plan(faults=("manager-crash",)))


@pytest.mark.timeout(120)
def test_a_breaker_that_holds_nothing(monkeypatch):
    monkeypatch.setattr(breakers, "holds", lambda breaker, service: False)
    assert "held" == first_violation(Plan(faults=("alike",)))


@pytest.mark.timeout(120)
def test_a_breaker_that_never_lets_go(monkeypatch):
    monkeypatch.setattr(restart_breaker, "hold_seconds", lambda times_opened, random: 1e6)
    assert "converged" == first_violation(Plan(faults=("alike",)))


@pytest.mark.timeout(120)
def test_a_dispatcher_that_forgets_the_secrets(monkeypatch):
    monkeypatch.setattr(assignments, "dependencies", lambda task: ())
    assert "given" == first_violation(Plan(faults=()))


@pytest.mark.timeout(120)
def test_an_update_that_never_ends(monkeypatch):
    monkeypatch.setattr(update_plan.Rollout, "_complete", lambda self, step, now: None)
    assert "converged" == first_violation(Plan(faults=()), seeds=20)


@pytest.mark.timeout(120)
def test_a_job_that_runs_everything_at_once(monkeypatch):
    monkeypatch.setattr(job_plan, "_is_at_work", lambda task: False)
    assert "job" == first_violation(Plan(faults=("tasks",), nodes=5, services=5))


@pytest.mark.timeout(120)
def test_a_report_that_is_dropped_where_the_disk_is_full(monkeypatch):
    monkeypatch.setattr(status_updates.StatusUpdates, "_put_back", lambda self, batch: None)
    assert "converged" == first_violation(Plan(faults=("full-disk",)), seeds=200)
