"""A service of a project to its spec (pure): the canonical mapping in, a ServiceSpec out.

References to secrets and configs carry names alone; who deploys knows the ids.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import durationpy
from google.protobuf.duration_pb2 import Duration

from swarmd import api
from swarmd.api import images, resources
from swarmd.ctl.compose.errors import ComposeError, Place, shown
from swarmd.ctl.compose.mounts import mounts
from swarmd.ctl.compose.objects import IMAGE, full_name, stack_labels
from swarmd.ctl.compose.project import Project, Surroundings

_NANO: Final = 10**9
_READ_BY_ALL: Final = 0o444
_LONGEST_NAME: Final = 63
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_ALL_CAPABILITIES: Final = "ALL"
_Condition: Final = api.RestartPolicy.RestartCondition
_CONDITIONS: Final = {
    "none": _Condition.NONE,
    "on-failure": _Condition.ON_FAILURE,
    "any": _Condition.ANY,
}
_RESTART: Final = {  # of `restart`, Compose's own word for it
    "no": _Condition.NONE,
    "always": _Condition.ANY,
    "unless-stopped": _Condition.ANY,
    "on-failure": _Condition.ON_FAILURE,
}
Value = Mapping[str, Any]


def service_specs(stack: str, project: Project, around: Surroundings) -> dict[str, api.ServiceSpec]:
    """Every service's spec, by full name; raises ComposeError."""
    return {
        f"{stack}_{name}": _spec(stack, name, service, project, around)
        for name, service in sorted(project.section("services").items())
    }


def _spec(
    stack: str, name: str, service: Value, project: Project, around: Surroundings
) -> api.ServiceSpec:
    place = ("services", name)
    image = service.get("image", "")
    if not image:
        raise ComposeError("image is missing", place)
    deploy: Value = service.get("deploy", {})
    spec = api.ServiceSpec()
    spec.annotations.name = _checked_name(f"{stack}_{name}", place)
    spec.annotations.labels.update(stack_labels(stack, deploy.get("labels")))
    spec.annotations.labels[IMAGE] = image
    _mode(spec, deploy, (*place, "deploy"))
    container = spec.task.container
    container.labels.update(stack_labels(stack, service.get("labels")))
    _container(container, service)
    _process(container, service, place)
    container.mounts.extend(mounts(stack, service, project.section("volumes"), around, place))
    for kind in ("secret", "config"):
        names = _names(kind, stack, project)
        _references(container, kind, service.get(f"{kind}s", ()), names, (*place, f"{kind}s"))
    _credentials(container, service, _names("config", stack, project), place)
    _resources(spec.task, deploy.get("resources", {}))
    _restart(spec.task, service, deploy, place)
    _placement(spec.task, deploy.get("placement", {}))
    _updates(spec, deploy)
    _endpoint(spec, service, deploy)
    if "logging" in service:
        spec.task.log_driver.name = service["logging"].get("driver", "")
        spec.task.log_driver.options.update(service["logging"].get("options", {}))
    return spec


def _checked_name(name: str, place: Place) -> str:
    if len(name) > _LONGEST_NAME:
        raise ComposeError(f"the name {shown(name)} has over {_LONGEST_NAME} characters", place)
    if not _NAME.fullmatch(name):
        raise ComposeError(
            f"the name {shown(name)} is none: letters, digits, and - and _ between them alone",
            place,
        )
    return name


def _mode(spec: api.ServiceSpec, deploy: Value, place: Place) -> None:
    mode, replicas = deploy.get("mode", "replicated"), deploy.get("replicas")
    if mode.startswith("global"):
        if replicas is not None:
            raise ComposeError(f"replicas do not go with mode {mode}", place)
        getattr(spec, mode.replace("-", "_")).SetInParent()
    elif mode == "replicated":
        spec.replicated.replicas = 1 if replicas is None else replicas
    else:
        spec.replicated_job.max_concurrent = 1 if replicas is None else replicas
        spec.replicated_job.total_completions = 1 if replicas is None else replicas


def _container(container: api.ContainerSpec, service: Value) -> None:
    """What has one value each."""
    for key, field in (
        ("image", "image"),
        ("hostname", "hostname"),
        ("working_dir", "dir"),
        ("user", "user"),
        ("tty", "tty"),
        ("stdin_open", "open_stdin"),
        ("read_only", "read_only"),
        ("stop_signal", "stop_signal"),
        ("oom_score_adj", "oom_score_adj"),
    ):
        if key in service:
            setattr(container, field, service[key])
    container.command.extend(service.get("entrypoint", ()))
    container.args.extend(service.get("command", ()))
    container.sysctls.update(service.get("sysctls", {}))
    if "init" in service:
        container.init.value = service["init"]
    if "isolation" in service:
        value = f"ISOLATION_{service['isolation'].upper()}"
        container.isolation = api.ContainerSpec.Isolation.Value(value)
    _set(container, "stop_grace_period", service.get("stop_grace_period"))


def _process(container: api.ContainerSpec, service: Value, place: Place) -> None:
    """What has several; sorted where the order means nothing, so that it never differs."""
    environment = service.get("environment", {})
    container.env.extend(
        sorted(name if text is None else f"{name}={text}" for name, text in environment.items())
    )
    for entry in service.get("extra_hosts", ()):
        host, _, address = entry.partition(":")
        container.hosts.append(f"{address} {host}")
    container.dns_config.nameservers.extend(service.get("dns", ()))
    container.dns_config.search.extend(service.get("dns_search", ()))
    if not container.dns_config.ByteSize():
        container.ClearField("dns_config")
    add, drop = (
        _capabilities(service.get("cap_add", ())),
        _capabilities(service.get("cap_drop", ())),
    )
    container.capability_add.extend(sorted(add))
    container.capability_drop.extend(sorted(drop - add))
    for name, ulimit in sorted(service.get("ulimits", {}).items()):
        container.ulimits.add(name=name, soft=ulimit["soft"], hard=ulimit["hard"])
    if "healthcheck" in service:
        _health(container.healthcheck, service["healthcheck"], (*place, "healthcheck"))


def _capabilities(names: list[str]) -> set[str]:
    found = {name.strip().upper() for name in names}
    if _ALL_CAPABILITIES in found:
        return {_ALL_CAPABILITIES}
    return {name if name.startswith("CAP_") else f"CAP_{name}" for name in found}


def _health(check: api.HealthConfig, given: Value, place: Place) -> None:
    check.SetInParent()
    if given.get("disable"):
        if given.get("test"):
            raise ComposeError("test and disable do not go together", place)
        check.test.append("NONE")
        return
    check.test.extend(given.get("test", ()))
    check.retries = given.get("retries", 0)
    for field in ("interval", "timeout", "start_period", "start_interval"):
        _set(check, field, given.get(field))


def _names(kind: str, stack: str, project: Project) -> dict[str, str]:
    """What the cluster knows each secret or config of the file by."""
    section = project.section(f"{kind}s")
    return {name: full_name(stack, name, section) for name in section}


def _references(
    container: api.ContainerSpec,
    kind: str,
    given: Sequence[Value],
    names: Mapping[str, str],
    place: Place,
) -> None:
    # A host process's own user owns its files; Docker Engines fail where nobody is named.
    owner, found = "" if images.is_host(container.image) else "0", []
    for index, one in enumerate(given):
        file = api.FileTarget(
            name=one.get("target") or one["source"],
            uid=one.get("uid") or owner,
            gid=one.get("gid") or owner,
            mode=one.get("mode", _READ_BY_ALL),
        )
        found.append((_named(kind, one["source"], names, (*place, index)), file))
    references = getattr(container, f"{kind}s")
    for name, file in sorted(found, key=lambda pair: pair[0]):
        references.add(**{f"{kind}_name": name}, file=file)


def _named(kind: str, name: str, names: Mapping[str, str], place: Place) -> str:
    if name not in names:
        raise ComposeError(f"there is no {kind} {shown(name)} under the top-level {kind}s", place)
    return names[name]


def _credentials(
    container: api.ContainerSpec, service: Value, names: Mapping[str, str], place: Place
) -> None:
    place = (*place, "credential_spec")
    given = {name: text for name, text in service.get("credential_spec", {}).items() if text}
    if len(given) > 1:
        raise ComposeError(f"only one of {', '.join(given)} may be given", place)
    for name, text in given.items():
        if name == "config":
            title = _named("config", text, names, place)
            container.configs.add(config_name=title, runtime=api.RuntimeTarget())
        else:
            title = text
        setattr(container.privileges.credential_spec, name, title)


def _resources(task: api.TaskSpec, given: Value) -> None:
    for key, field in (("limits", "limits"), ("reservations", "reservations")):
        if key not in given:
            continue
        one, amounts = given[key], getattr(task.resources, field)
        amounts.nano_cpus = int(Decimal(one.get("cpus", "0")) * _NANO)
        amounts.memory_bytes = one.get("memory", 0)
        if "pids" in one:
            task.container.pidsLimit = one["pids"]
        for generic in one.get("generic_resources", ()):
            spec = generic["discrete_resource_spec"]
            amounts.generic.append(resources.discrete(spec["kind"], spec["value"]))


def _restart(task: api.TaskSpec, service: Value, deploy: Value, place: Place) -> None:
    policy = deploy.get("restart_policy")
    if policy is not None:
        task.restart.condition = _CONDITIONS[policy.get("condition", "any")]
        task.restart.max_attempts = policy.get("max_attempts", 0)
        _set(task.restart, "delay", policy.get("delay"))
        _set(task.restart, "window", policy.get("window"))
    elif "restart" in service:
        name, _, most = service["restart"].partition(":")
        if name not in _RESTART or (most and not re.fullmatch("[0-9]{1,9}", most, re.ASCII)):
            known = ", ".join(_RESTART)
            raise ComposeError(
                f"{shown(service['restart'])!r} is not one of {known}[:attempts]",
                (*place, "restart"),
            )
        task.restart.condition = _RESTART[name]
        task.restart.max_attempts = int(most or 0)


def _placement(task: api.TaskSpec, given: Value) -> None:
    task.placement.constraints.extend(given.get("constraints", ()))
    for preference in given.get("preferences", ()):
        task.placement.preferences.add().spread.spread_descriptor = preference["spread"]
    task.placement.max_replicas = given.get("max_replicas_per_node", 0)
    if not task.placement.ByteSize():
        task.ClearField("placement")


def _updates(spec: api.ServiceSpec, deploy: Value) -> None:
    for key, config in (("update_config", spec.update), ("rollback_config", spec.rollback)):
        if key not in deploy:
            continue
        given = deploy[key]
        config.parallelism = given.get("parallelism", 1)
        config.max_failure_ratio = given.get("max_failure_ratio", 0)
        config.failure_action = api.UpdateConfig.FailureAction.Value(
            given.get("failure_action", "pause").upper()
        )
        order = given.get("order", "stop-first").replace("-", "_").upper()
        config.order = api.UpdateConfig.UpdateOrder.Value(order)
        _set(config, "delay", given.get("delay", "0s"))
        _set(config, "monitor", given.get("monitor"))


def _endpoint(spec: api.ServiceSpec, service: Value, deploy: Value) -> None:
    if "endpoint_mode" in deploy:
        spec.endpoint.mode = api.EndpointSpec.ResolutionMode.Value(deploy["endpoint_mode"].upper())
    ports = [
        api.PortConfig(
            protocol=api.PortConfig.Protocol.Value(one.get("protocol", "tcp").upper()),
            target_port=one["target"],
            published_port=one.get("published", 0),
            # Docker means the ingress network where a file says nothing; there is none here.
            publish_mode=api.PortConfig.PublishMode.Value(one.get("mode", "host").upper()),
        )
        for one in service.get("ports", ())
    ]
    ports.sort(key=lambda one: (one.target_port, one.published_port, one.protocol))
    if ports:
        spec.endpoint.ports.extend(ports)


def _set(message: Any, field: str, text: str | None) -> None:
    """A duration where one is given."""
    if text is not None:
        found = Duration()
        found.FromTimedelta(durationpy.from_str(text))
        getattr(message, field).CopyFrom(found)
