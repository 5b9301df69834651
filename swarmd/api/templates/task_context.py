"""What templates of a task see of its service, its node and itself."""

from typing import Final

from swarmd import api
from swarmd.api import tasks
from swarmd.api.templates.values import Struct

_SERVICE: Final = "struct { ID string; Name string; Labels map[string]string }"
_NODE: Final = "struct { ID string; Hostname string; Platform template.Platform }"
_TASK: Final = "struct { ID string; Name string; Slot string }"


def context(task: api.Task, node: api.Node) -> Struct:
    """Names that the node does not tell are empty; a global task has its node for a slot."""
    service = task.service_annotations
    labels = dict(service.labels)
    slot = str(task.slot) if task.slot else task.node_id
    fields = {
        "Service": Struct(
            _SERVICE, {"ID": task.service_id, "Name": service.name, "Labels": labels}
        ),
        "Node": _node(task.node_id, node.description),
        "Task": Struct(_TASK, {"ID": task.id, "Name": tasks.name(task), "Slot": slot}),
    }
    return Struct("*template.Context", fields)


def _node(node_id: str, said: api.NodeDescription) -> Struct:
    platform = {"Architecture": said.platform.architecture, "OS": said.platform.os}
    return Struct(
        _NODE,
        {
            "ID": node_id,
            "Hostname": said.hostname,
            "Platform": Struct("template.Platform", platform),
        },
    )
