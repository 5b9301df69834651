"""Does a task still do what its service asks for? (pure)"""

from swarmd import api
from workers.manager.orchestrators import fit


def is_dirty(service: api.Service, task: api.Task, node: api.Node | None) -> bool:
    """An update must replace it.

    Preferences, platforms and replicas per node, and constraints that its node satisfies still,
    say where tasks go, not what they are. Nor does it matter how an image is pulled that is there.
    """
    both = service.HasField("spec_version") and task.HasField("spec_version")
    if both and service.spec_version == task.spec_version:
        return False
    wanted = api.TaskSpec()
    wanted.CopyFrom(service.spec.task)
    if _differs_in_placement_alone(wanted, task.spec) and node and fit.satisfies(wanted, node):
        return False
    if _has_pulled(task) and _both_have_container(wanted, task.spec):
        _take_pull_options(wanted, task.spec)
    return wanted != task.spec or _endpoint_differs(service, task)


def _differs_in_placement_alone(wanted: api.TaskSpec, spec: api.TaskSpec) -> bool:
    if _same_placement(wanted, spec):
        return False
    moved = api.TaskSpec()
    moved.CopyFrom(wanted)
    moved.ClearField("placement")
    if spec.HasField("placement"):
        moved.placement.CopyFrom(spec.placement)
    return moved == spec


def _same_placement(one: api.TaskSpec, other: api.TaskSpec) -> bool:
    return one.HasField("placement") == other.HasField("placement") and (
        one.placement == other.placement
    )


def _has_pulled(task: api.Task) -> bool:
    wanted = task.desired_state <= api.TaskState.RUNNING
    return wanted and api.TaskState.READY <= task.status.state <= api.TaskState.RUNNING


def _both_have_container(wanted: api.TaskSpec, spec: api.TaskSpec) -> bool:
    return wanted.HasField("container") and spec.HasField("container")


def _take_pull_options(wanted: api.TaskSpec, spec: api.TaskSpec) -> None:
    wanted.container.ClearField("pull_options")
    if spec.container.HasField("pull_options"):
        wanted.container.pull_options.CopyFrom(spec.container.pull_options)


def _endpoint_differs(service: api.Service, task: api.Task) -> bool:
    if not task.HasField("endpoint"):
        return False
    asked, has = service.spec, task.endpoint
    if asked.HasField("endpoint") != has.HasField("spec"):
        return True
    return asked.endpoint != has.spec
