"""What a node is told: applied one after another, the differences give the full set."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd import api
from tests import builders
from workers.manager.dispatcher.assignments import AssignmentSet, is_news

ASSIGNED, RUNNING, COMPLETE = (
    api.TaskState.ASSIGNED,
    api.TaskState.RUNNING,
    api.TaskState.COMPLETE,
)
REMOVE = api.AssignmentChange.AssignmentAction.REMOVE
SECRETS = {name: api.Secret(id=name) for name in ("s1", "s2")}
CONFIGS = {name: api.Config(id=name) for name in ("c1", "c2")}


def view(tasks: dict[str, api.Task]) -> Any:
    """As much of the store as is asked."""
    return SimpleNamespace(tasks=tasks, secrets=SECRETS, configs=CONFIGS, volumes={})


def task(
    name: str, *, state: int = ASSIGNED, needs: tuple[str, ...] = (), node: str = "n1"
) -> api.Task:
    built = api.Task(id=name, node_id=node, desired_state=RUNNING)
    built.status.state = api.TaskState.ValueType(state)
    for each in needs:
        if each.startswith("s"):
            built.spec.container.secrets.add(secret_id=each)
        else:
            built.spec.container.configs.add(config_id=each)
    return built


def told(changes: list[api.AssignmentChange]) -> list[str]:
    return [_words(change) for change in changes]


def _words(change: api.AssignmentChange) -> str:
    field = change.assignment.WhichOneof("item")
    assert field is not None
    sign = "-" if change.action == REMOVE else "+"
    return f"{sign}{getattr(change.assignment, field).id}"


def update(known: AssignmentSet, *tasks: api.Task) -> list[str]:
    return told(known.update(view({each.id: each for each in tasks}), [t.id for t in tasks]))


def test_dependencies_come_before_the_task_and_go_after_it() -> None:
    known = AssignmentSet("n1")
    assert ["+s1", "+c1", "+t1"] == update(known, task("t1", needs=("s1", "c1")))
    assert ["-t1", "-s1", "-c1"] == told(known.update(view({}), ["t1"]))


def test_shared_secret_is_sent_once_and_taken_back_with_its_last_user() -> None:
    known = AssignmentSet("n1")
    first, second = task("t1", needs=("s1",)), task("t2", needs=("s1",))
    assert ["+s1", "+t1"] == update(known, first)
    assert ["+t2"] == update(known, second)
    assert ["-t1"] == told(known.update(view({"t2": second}), ["t1"]))
    assert ["-t2", "-s1"] == told(known.update(view({}), ["t2"]))


def test_ended_task_gives_its_secrets_back_and_stays() -> None:
    known = AssignmentSet("n1")
    update(known, task("t1", needs=("s1",)))
    assert ["-s1"] == update(known, task("t1", needs=("s1",), state=COMPLETE))
    assert [] == update(known, task("t1", needs=("s1",), state=COMPLETE))


def test_task_that_has_ended_before_it_is_known_brings_no_secrets() -> None:
    assert ["+t1"] == update(AssignmentSet("n1"), task("t1", needs=("s1",), state=COMPLETE))


def test_secret_that_is_missing_holds_nothing_up() -> None:
    assert ["+t1"] == update(AssignmentSet("n1"), task("t1", needs=("s9",)))


def test_secret_of_a_driver_is_not_sent() -> None:
    secret = api.Secret(id="s1", spec=api.SecretSpec(driver=api.Driver(name="vault")))
    only = SimpleNamespace(
        tasks={"t1": task("t1", needs=("s1",))}, secrets={"s1": secret}, configs={}
    )
    assert ["+t1"] == told(AssignmentSet("n1").update(only, ["t1"]))


def test_resource_reference_is_a_dependency_too() -> None:
    built = task("t1")
    built.spec.resource_references.add(resource_id="c2", resource_type=api.ResourceType.CONFIG)
    assert ["+c2", "+t1"] == update(AssignmentSet("n1"), built)


def test_task_is_not_sent_before_it_is_assigned_nor_to_another_node() -> None:
    known = AssignmentSet("n1")
    assert [] == update(known, task("t1", state=api.TaskState.PENDING), task("t2", node="n2"))


def test_new_status_alone_is_not_told_and_a_new_goal_is() -> None:
    known = AssignmentSet("n1")
    update(known, task("t1"))
    assert [] == update(known, task("t1", state=RUNNING))
    stopping = task("t1", state=RUNNING)
    stopping.desired_state = api.TaskState.SHUTDOWN
    assert ["+t1"] == update(known, stopping)


def test_news_is_what_changes_the_assignments() -> None:
    pending, assigned = task("t", state=api.TaskState.PENDING), task("t")
    running, ended = task("t", state=RUNNING), task("t", state=COMPLETE)
    assert is_news(pending, assigned)
    assert not is_news(assigned, running)
    assert is_news(running, ended)
    other = builders.task()
    other.CopyFrom(running)
    other.endpoint.ports.add(published_port=80)
    assert is_news(running, other)


TASKS = st.builds(
    task,
    name=st.sampled_from(["t1", "t2", "t3"]),
    state=st.sampled_from([64, 192, 512, 576, 704]),
    needs=st.sets(st.sampled_from(["s1", "s2", "c1", "c2"])).map(lambda s: tuple(sorted(s))),
    node=st.sampled_from(["n1", "n1", "n1", "n2"]),
)
STEPS = st.lists(st.one_of(TASKS, st.sampled_from(["t1", "t2", "t3"])), max_size=12)


def apply(state: dict[str, Any], changes: list[api.AssignmentChange]) -> None:
    for change in changes:
        field = change.assignment.WhichOneof("item")
        assert field is not None
        item = getattr(change.assignment, field)
        if change.action == REMOVE:
            assert item.id in state, "only what is known is taken back"
            del state[item.id]
        else:
            state[item.id] = item


@settings(max_examples=300)
@given(steps=STEPS)
def test_chain_of_differences_gives_the_same_as_the_full_set(steps) -> None:
    tasks: dict[str, api.Task] = {}
    known, state = AssignmentSet("n1"), {}
    for step in steps:
        name = step if isinstance(step, str) else step.id
        before = tasks.pop(name, None)
        if not isinstance(step, str) and possible(before, step):
            tasks[name] = step
        elif before is not None and not isinstance(step, str):
            tasks[name] = before
        apply(state, known.update(view(tasks), [name]))
    full: dict[str, Any] = {}
    apply(full, AssignmentSet("n1").update(view(tasks), tasks))
    assert full.keys() == state.keys()
    assert all(stable(full[name]) == stable(state[name]) for name in full)


def possible(before: api.Task | None, after: api.Task) -> bool:
    """A task's spec and, once given, its node never change, and its states go forward."""
    if before is None:
        return True
    moved = before.node_id != after.node_id
    return not moved and before.spec == after.spec and before.status.state <= after.status.state


def stable(item: Any) -> Any:
    copy = type(item)()
    copy.CopyFrom(item)
    if isinstance(copy, api.Task):
        copy.ClearField("status")
    return copy
