"""Flags into a service's spec: only what a flag names is changed. Pure; raises click errors."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import resources
from swarmd.ctl.service_mounts import merge_mounts
from swarmd.ctl.values import duration, flat, memory_bytes, nano_cpus, options, pairs

Flags = Mapping[str, Any]
_Condition: Final = api.RestartPolicy.RestartCondition
_CONDITIONS: Final = {
    "none": _Condition.NONE,
    "failure": _Condition.ON_FAILURE,
    "any": _Condition.ANY,
}


def new_spec(flags: Flags) -> api.ServiceSpec:
    """The spec of `service create`."""
    if not flags["name"] or not flags["image"]:
        raise click.UsageError("--name and --image are mandatory")
    spec = api.ServiceSpec()
    if flags["mode"] == "global":
        getattr(spec, "global").SetInParent()
    else:
        spec.replicated.replicas = 1
    spec.task.container.SetInParent()
    merge(spec, flags)
    return spec


def merge(spec: api.ServiceSpec, flags: Flags) -> None:
    """Change the spec by what was given; raises click.UsageError or BadParameter."""
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    if given.get("force"):
        spec.task.force_update += 1
    if not spec.task.HasField("restart"):
        spec.task.restart.condition = _Condition.ANY
    for step in (
        _annotations,
        _mode,
        _container,
        _process,
        _health,
        _resources,
        _ports,
        _updates,
        _restart,
        _placement,
        _log_driver,
        _capabilities,
        merge_mounts,
    ):
        step(spec, given)


def _annotations(spec: api.ServiceSpec, given: Flags) -> None:
    if "name" in given:
        spec.annotations.name = given["name"]
    if "label" in given:
        spec.annotations.labels.clear()
        spec.annotations.labels.update(pairs(flat(given["label"]), "--label"))


def _mode(spec: api.ServiceSpec, given: Flags) -> None:
    replicated = spec.HasField("replicated")
    for name in ("replicas", "replicas_max_per_node"):
        if name in given and not replicated:
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} can only be given for a replicated service")
    if "replicas" in given:
        spec.replicated.replicas = given["replicas"]
    if "replicas_max_per_node" in given:
        spec.task.placement.max_replicas = given["replicas_max_per_node"]


def _container(spec: api.ServiceSpec, given: Flags) -> None:
    container = spec.task.container
    for name in ("image", "hostname", "dir", "user", "tty", "open_stdin", "oom_score_adj"):
        if name in given:
            setattr(container, name, given[name])
    for name in ("command", "args", "env"):
        if name in given:
            field = getattr(container, name)
            del field[:]
            field.extend(flat(given[name]))
    if "init" in given:
        container.init.value = given["init"]


def _process(spec: api.ServiceSpec, given: Flags) -> None:
    container = spec.task.container
    if "stop_signal" in given:
        container.stop_signal = given["stop_signal"]
    if "stop_grace_period" in given:
        grace = duration(given["stop_grace_period"], "--stop-grace-period")
        container.stop_grace_period.CopyFrom(grace)
    if "pids_limit" in given:
        container.pidsLimit = given["pids_limit"]
    if "ulimit" in given:
        del container.ulimits[:]
        container.ulimits.extend(map(_ulimit, flat(given["ulimit"])))


def _ulimit(text: str) -> api.ContainerSpec.Ulimit:
    match = re.fullmatch(r"(\w+)=(-?\d+)(?::(-?\d+))?", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not name=soft[:hard]", param_hint="--ulimit")
    soft = int(match[2])
    return api.ContainerSpec.Ulimit(name=match[1], soft=soft, hard=int(match[3] or soft))


def _health(spec: api.ServiceSpec, given: Flags) -> None:
    check = spec.task.container.healthcheck
    if given.get("no_healthcheck"):
        check.Clear()
        check.test.append("NONE")
        return
    if "health_cmd" in given:
        del check.test[:]
        check.test.extend(["CMD-SHELL", given["health_cmd"]])
    for name in ("interval", "timeout", "start_period"):
        if f"health_{name}" in given:
            flag = f"--health-{name.replace('_', '-')}"
            getattr(check, name).CopyFrom(duration(given[f"health_{name}"], flag))
    if "health_retries" in given:
        check.retries = given["health_retries"]


def _resources(spec: api.ServiceSpec, given: Flags) -> None:
    for what, field in (("reservation", "reservations"), ("limit", "limits")):
        if f"memory_{what}" in given:
            amount = memory_bytes(given[f"memory_{what}"], f"--memory-{what}")
            getattr(spec.task.resources, field).memory_bytes = amount
        if f"cpu_{what}" in given:
            amount = nano_cpus(given[f"cpu_{what}"], f"--cpu-{what}")
            getattr(spec.task.resources, field).nano_cpus = amount
    if "generic_resources" in given:
        wanted = _generic(given["generic_resources"])
        del spec.task.resources.reservations.generic[:]
        spec.task.resources.reservations.generic.extend(wanted)


def _generic(text: str) -> list[api.GenericResource]:
    try:
        return resources.parse(text)
    except resources.GenericResourceError as error:
        raise click.BadParameter(str(error), param_hint="--generic-resources") from error


def _ports(spec: api.ServiceSpec, given: Flags) -> None:
    if "ports" in given:
        spec.endpoint.Clear()
        spec.endpoint.ports.extend(map(_port, flat(given["ports"])))


def _port(text: str) -> api.PortConfig:
    """name:port[/protocol][:node port]: published on the node, as all of swarmctl's ports are."""
    match = re.fullmatch(r"([^:]*):(\d+)(?:/(\w+))?(?::(\d+)(?:/(\w+))?)?", text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not name:port[/protocol][:node port]", param_hint="--ports"
        )
    name, target, protocol, published, again = match.groups()
    if again and (protocol or "tcp").lower() != again.lower():
        raise click.BadParameter(f"{text!r} names two protocols", param_hint="--ports")
    known = dict(api.PortConfig.Protocol.items())
    if (protocol or "tcp").upper() not in known:
        raise click.BadParameter(f"{protocol!r} is not tcp, udp or sctp", param_hint="--ports")
    return api.PortConfig(
        name=name,
        protocol=known[(protocol or "tcp").upper()],
        target_port=int(target),
        published_port=int(published or 0),
        publish_mode=api.PortConfig.PublishMode.HOST,
    )


def _updates(spec: api.ServiceSpec, given: Flags) -> None:
    _update_config(spec.update, "update", given)
    _update_config(spec.rollback, "rollback", given)
    # Reading a field that is not set makes none: an untouched config stays absent.


def _update_config(config: api.UpdateConfig, prefix: str, given: Flags) -> None:
    """Fill in from --update-* or --rollback-*; an enum's value is the flag's in capitals."""
    setters: dict[str, Callable[[Any], None]] = {
        "parallelism": lambda value: setattr(config, "parallelism", value),
        "delay": lambda value: config.delay.CopyFrom(duration(value, f"--{prefix}-delay")),
        "monitor": lambda value: config.monitor.CopyFrom(duration(value, f"--{prefix}-monitor")),
        "max_failure_ratio": lambda value: setattr(config, "max_failure_ratio", value),
        "on_failure": lambda value: setattr(
            config, "failure_action", api.UpdateConfig.FailureAction.Value(value.upper())
        ),
        "order": lambda value: setattr(
            config, "order", api.UpdateConfig.UpdateOrder.Value(value.replace("-", "_").upper())
        ),
    }
    for name, change in setters.items():
        if f"{prefix}_{name}" in given:
            config.SetInParent()
            change(given[f"{prefix}_{name}"])


def _restart(spec: api.ServiceSpec, given: Flags) -> None:
    restart = spec.task.restart
    if "restart_condition" in given:
        restart.condition = _CONDITIONS[given["restart_condition"]]
    if "restart_delay" in given:
        restart.delay.CopyFrom(duration(given["restart_delay"], "--restart-delay"))
    if "restart_max_attempts" in given:
        restart.max_attempts = given["restart_max_attempts"]
    if "restart_window" in given:
        restart.window.CopyFrom(duration(given["restart_window"], "--restart-window"))


def _placement(spec: api.ServiceSpec, given: Flags) -> None:
    if "constraint" in given:
        del spec.task.placement.constraints[:]
        spec.task.placement.constraints.extend(flat(given["constraint"]))
    if "placement_pref" in given:
        del spec.task.placement.preferences[:]
        for strategy, label in pairs(flat(given["placement_pref"]), "--placement-pref").items():
            if strategy != "spread":
                raise click.BadParameter(
                    f"{strategy!r} is no strategy: only spread is", param_hint="--placement-pref"
                )
            spec.task.placement.preferences.add().spread.spread_descriptor = label


def _log_driver(spec: api.ServiceSpec, given: Flags) -> None:
    if "log_driver" in given:
        spec.task.log_driver.Clear()
        spec.task.log_driver.name = given["log_driver"]
        spec.task.log_driver.options.update(options(flat(given.get("log_opt", ()))))


def _capabilities(spec: api.ServiceSpec, given: Flags) -> None:
    container = spec.task.container
    for flag, take, drop in (
        ("add_capability", container.capability_add, container.capability_drop),
        ("rm_capability", container.capability_drop, container.capability_add),
    ):
        for name in flat(given.get(flag, ())):
            if name in drop:
                drop.remove(name)
            if name not in take:
                take.append(name)
