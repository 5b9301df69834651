"""What a task may read beside its spec."""

import pytest

from swarmd import api
from tests import builders
from workers.agent.assignments import Changes, Difference, VolumeChanges
from workers.agent.dependencies import DependencySet
from workers.agent.executors.errors import RejectedError, TemporaryError

NONE = Difference({}, frozenset())


def given_to(dependencies: DependencySet, *secrets, configs=(), complete=True, dropped=()) -> None:
    dependencies.apply(
        Changes(
            complete=complete,
            tasks=NONE,
            secrets=Difference({each.id: each for each in secrets}, frozenset(dropped)),
            configs=Difference({each.id: each for each in configs}, frozenset()),
            volumes=VolumeChanges(complete, {}, {}),
        )
    )


def task_with(*secrets: str, configs=()) -> api.Task:
    spec = builders.container(
        secrets=[api.SecretReference(secret_id=each) for each in secrets],
        configs=[api.ConfigReference(config_id=each) for each in configs],
    )
    return builders.task(spec=api.TaskSpec(container=spec))


def test_a_task_sees_what_its_spec_names_and_no_more() -> None:
    mine, other, config = builders.secret(), builders.secret(), builders.config()
    dependencies = DependencySet()
    given_to(dependencies, mine, other, configs=[config])
    found = dependencies.of(task_with(mine.id, configs=[config.id]))
    assert ({mine.id: mine}, {config.id: config}) == (found.secrets, found.configs)


def test_a_secret_made_for_one_task_goes_before_the_common_one() -> None:
    common = builders.secret()
    task = task_with(common.id)
    own = builders.secret(id=f"{common.id}.{task.id}")
    dependencies = DependencySet()
    given_to(dependencies, own)
    assert {common.id: own} == dependencies.of(task).secrets
    given_to(dependencies, common, complete=False)
    assert {common.id: own} == dependencies.of(task).secrets


def test_what_is_missing_may_still_come_before_the_first_complete_set() -> None:
    dependencies = DependencySet()
    with pytest.raises(TemporaryError, match="secret s1"):
        dependencies.of(task_with("s1"))
    given_to(dependencies)
    with pytest.raises(RejectedError, match="secret s1, config c1"):
        dependencies.of(task_with("s1", configs=["c1"]))


def test_a_dropped_secret_is_gone() -> None:
    secret = builders.secret()
    dependencies = DependencySet()
    given_to(dependencies, secret)
    given_to(dependencies, complete=False, dropped=[secret.id])
    with pytest.raises(RejectedError):
        dependencies.of(task_with(secret.id))
