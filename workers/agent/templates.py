"""Fill in {{.Service.Name}} and kin, in what a task's spec says of its environment."""

from swarmd import api
from swarmd.api import images
from swarmd.api.templates import TemplateError, context, expand_container
from workers.agent.executors.errors import RejectedError


def expand_spec(task: api.Task, node: api.Node) -> api.ContainerSpec:
    """The task's container spec filled in; raises RejectedError, naming the field.

    For host processes, command, args and dir may have templates too.
    """
    spec = task.spec.container
    try:
        return expand_container(
            spec, context(task, node), is_host_process=images.is_host(spec.image)
        )
    except TemplateError as error:
        raise RejectedError(str(error)) from error
