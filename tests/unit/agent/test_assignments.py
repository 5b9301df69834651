"""A dispatcher's message, to what changed."""

from swarmd import api
from tests import builders
from workers.agent.assignments import changes, continues

Type = api.AssignmentsMessage.Type
Action = api.AssignmentChange.AssignmentAction


def message(kind: int, updates=(), removals=(), **fields: str) -> api.AssignmentsMessage:
    return api.AssignmentsMessage(
        type=kind,
        changes=[
            api.AssignmentChange(assignment=api.Assignment(**item), action=action)
            for action, items in ((Action.UPDATE, updates), (Action.REMOVE, removals))
            for item in items
        ],
        **fields,
    )


def test_a_complete_message_drops_what_it_does_not_name() -> None:
    kept, new = builders.task(), builders.task()
    secret = builders.secret()
    found = changes(
        message(Type.COMPLETE, [{"task": kept}, {"task": new}, {"secret": secret}]),
        tasks=[kept.id, "gone"],
        secrets=["old"],
        configs=["c"],
    )
    assert found.complete
    assert {kept.id: kept, new.id: new} == found.tasks.changed
    assert {"gone"} == found.tasks.dropped
    assert {secret.id: secret} == found.secrets.changed
    assert {"old"} == found.secrets.dropped
    assert {"c"} == found.configs.dropped


def test_a_difference_leaves_the_others_alone() -> None:
    new, gone, config = builders.task(), builders.task(), builders.config()
    found = changes(
        message(Type.INCREMENTAL, [{"task": new}], [{"task": gone}, {"config": config}]),
        tasks=[gone.id, "other"],
        secrets=["s"],
        configs=[config.id],
    )
    assert not found.complete
    assert {new.id: new} == found.tasks.changed
    assert {gone.id} == found.tasks.dropped
    assert not found.secrets
    assert {config.id} == found.configs.dropped


def test_the_newest_of_two_changes_counts() -> None:
    task = builders.task()
    later = builders.task(id=task.id, desired_state=api.TaskState.SHUTDOWN)
    found = changes(
        message(Type.INCREMENTAL, [{"task": task}, {"task": later}]),
        tasks=[],
        secrets=[],
        configs=[],
    )
    assert {task.id: later} == found.tasks.changed


def test_volumes_come_whole_also_when_they_go() -> None:
    here, gone = api.VolumeAssignment(id="v"), api.VolumeAssignment(id="w", volume_id="disk")
    found = changes(
        message(Type.COMPLETE, [{"volume": here}], [{"volume": gone}]),
        tasks=[],
        secrets=[],
        configs=[],
    ).volumes
    assert found.complete
    assert {"v": here} == found.changed
    assert {"w": gone} == found.removed


def test_a_stream_begins_with_a_complete_message_and_has_no_gaps() -> None:
    assert continues("", message(Type.COMPLETE, results_in="1"))
    assert continues("1", message(Type.INCREMENTAL, applies_to="1", results_in="2"))
    assert not continues("2", message(Type.INCREMENTAL, applies_to="3", results_in="4"))
    assert continues("2", message(Type.COMPLETE, results_in="9"))
