"""Objects as Docker's lists show them: the fields of a line, and what templates see (pure)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from swarmd import api
from swarmd.api import services
from swarmd.ctl.output import ago, state
from swarmd.ctl.resolve import name_of

Fields = dict[str, Any]

SERVICE_TITLES: Final = {
    "ID": "ID",
    "Name": "NAME",
    "Mode": "MODE",
    "Replicas": "REPLICAS",
    "Image": "IMAGE",
    "Ports": "PORTS",
}
NODE_TITLES: Final = {
    "ID": "ID",
    "Hostname": "HOSTNAME",
    "Status": "STATUS",
    "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS",
    "EngineVersion": "ENGINE VERSION",
    "TLSStatus": "TLS STATUS",
    "Self": "SELF",
}
NODE_SHOWN: Final = ("ID", "Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion")


class _LabelTitle(str):
    """The column of {{.Label "a"}} is headed a."""

    __slots__ = ()

    def __call__(self, name: str) -> str:
        return name


SECRET_TITLES: Final = {
    "ID": "ID",
    "Name": "NAME",
    "CreatedAt": "CREATED",
    "UpdatedAt": "UPDATED",
    "Driver": "DRIVER",
    "Labels": "LABELS",
    "Label": _LabelTitle("LABEL"),
}
SECRET_SHOWN: Final = ("ID", "Name", "CreatedAt", "UpdatedAt")
NETWORK_TITLES: Final = {"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE"}


def service_fields(one: api.Service, status: Any | None) -> Fields:
    """With the counts of ListServiceStatuses, where there are any."""
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Mode": services.mode(one).replace("_", " "),
        "Replicas": replicas(one, status),
        "Image": short_image(one.spec.task.container.image),
        "Ports": ", ".join(map(_port, sorted(_ingress(one.endpoint.ports), key=_by_port))),
    }


def replicas(service: api.Service, status: Any | None) -> str:
    """running/desired; of a job also how many tasks are completed, of all."""
    if status is None:
        return ""
    counts = f"{status.running_tasks}/{status.desired_tasks}"
    if services.is_job(service):
        total = service.spec.replicated_job.total_completions
        if services.is_global_job(service):  # what is completed is not desired any more
            total = status.desired_tasks + status.completed_tasks
        return f"{counts} ({status.completed_tasks}/{total} completed)"
    most = service.spec.task.placement.max_replicas
    return f"{counts} (max {most} per node)" if most and services.is_replicated(service) else counts


def node_fields(one: api.Node, self_id: str, root: bytes) -> Fields:
    """`self_id` is the node that was asked, `root` the cluster's root CA."""
    return {
        "ID": one.id,
        "Hostname": one.description.hostname,
        "Status": state(api.NodeStatus.State.Name(one.status.state).title()),
        "Availability": state(api.NodeSpec.Availability.Name(one.spec.availability).title()),
        "ManagerStatus": manager_status(one),
        "EngineVersion": one.description.engine.engine_version,
        "TLSStatus": _tls_status(one.description.tls_info.trust_root, root),
        "Self": one.id == self_id,
    }


def manager_status(one: api.Node) -> str:
    if not one.HasField("manager_status"):
        return "Unknown" if one.spec.desired_role == api.NodeRole.MANAGER else ""
    if one.manager_status.leader:
        return "Leader"
    return api.RaftMemberStatus.Reachability.Name(one.manager_status.reachability).title()


def _tls_status(theirs: bytes, root: bytes) -> str:
    if not theirs or not root:
        return "Unknown"
    return "Ready" if theirs.strip() == root.strip() else "Needs Rotation"


def secret_fields(one: Any) -> Fields:
    """Of a secret or a config."""
    labels = dict(one.spec.annotations.labels)
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "CreatedAt": ago(one.meta.created_at),
        "UpdatedAt": ago(one.meta.updated_at),
        "Driver": one.spec.driver.name if isinstance(one, api.Secret) else "",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Label": _Labels(labels),
    }


class _Labels:
    """{{.Label "a"}}: the value of one."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def __call__(self, name: str) -> str:
        return self._labels.get(name, "")


def network_fields(one: api.Network) -> Fields:
    driver = one.driver_state.name or one.spec.driver_config.name
    return {"ID": one.id, "Name": name_of(one), "Driver": driver, "Scope": "swarm"}


def short_image(image: str) -> str:
    """Without its digest."""
    return image.partition("@")[0] if ":" in image.partition("@")[0] else image


def _ingress(ports: Iterable[api.PortConfig]) -> list[api.PortConfig]:
    return [port for port in ports if port.publish_mode == api.PortConfig.PublishMode.INGRESS]


def _by_port(port: api.PortConfig) -> tuple[int, int]:
    return port.protocol, port.published_port


def _port(port: api.PortConfig) -> str:
    protocol = api.PortConfig.Protocol.Name(port.protocol).lower()
    return f"*:{port.published_port}->{port.target_port}/{protocol}"


def ports_of(task: api.Task) -> str:
    """What a task publishes on its node."""
    return ",".join(map(_port, task.status.port_status.ports))


def natural(text: str) -> list[tuple[int, int | str]]:
    """Sorts web.2 before web.10."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


def by_name(one: Any) -> list[tuple[int, int | str]]:
    return natural(name_of(one))
