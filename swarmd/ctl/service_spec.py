"""Flags into a service's spec: only what a flag names is changed. Pure; raises click errors."""

import secrets
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.service_lists import environment, generic, merge_lists, ulimit
from swarmd.ctl.service_mode import merge_mode, set_mode
from swarmd.ctl.service_mounts import merge_mounts
from swarmd.ctl.service_ports import merge_ports
from swarmd.ctl.values import duration, flat, memory_bytes, nano_cpus, options

Flags = Mapping[str, Any]
_Condition: Final = api.RestartPolicy.RestartCondition
_PLAIN: Final = (
    *("image", "hostname", "dir", "user", "tty", "open_stdin", "read_only", "oom_score_adj"),
)
_CONDITIONS: Final = {
    "none": _Condition.NONE,
    "failure": _Condition.ON_FAILURE,
    "on-failure": _Condition.ON_FAILURE,
    "any": _Condition.ANY,
}


def new_spec(flags: Flags) -> api.ServiceSpec:
    """The spec of `service create`: SwarmKit's --name and --image, or Docker's IMAGE [COMMAND…]."""
    image, *words = flags.get("words") or (flags["image"] or "",)
    if not image or not (flags["name"] or flags.get("words")):
        raise click.UsageError("--name and --image are mandatory, or IMAGE as an argument")
    spec = api.ServiceSpec()
    spec.annotations.name = flags["name"] or _name_of(image)
    set_mode(spec, flags["mode"])
    spec.task.container.args.extend(words)
    merge(spec, {**flags, "image": image})
    return spec


def _name_of(image: str) -> str:
    """Docker makes up a name where none is given; this one tells what it is."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    return f"{base.replace('.', '-').replace('_', '-')}-{secrets.token_hex(3)}"


def merge(spec: api.ServiceSpec, flags: Flags) -> None:
    """Change the spec by what was given; raises click.UsageError or BadParameter."""
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    if given.get("force"):
        spec.task.force_update += 1
    if not spec.task.HasField("restart"):
        spec.task.restart.condition = _Condition.ANY
    for step in (
        _annotations,
        merge_mode,
        _container,
        _process,
        _health,
        _resources,
        _swap,
        merge_ports,
        _updates,
        _restart,
        _placement,
        _log_driver,
        _capabilities,
        merge_mounts,
        merge_lists,
    ):
        step(spec, given)


def _annotations(spec: api.ServiceSpec, given: Flags) -> None:
    if "name" in given:
        spec.annotations.name = given["name"]
    if "label" in given:
        spec.annotations.labels.clear()
        spec.annotations.labels.update(options(flat(given["label"])))


def _container(spec: api.ServiceSpec, given: Flags) -> None:
    container = spec.task.container
    for name in _PLAIN:
        if name in given:
            setattr(container, name, given[name])
    lists = {name: flat(given[name]) for name in ("command", "args") if name in given}
    if "entrypoint" in given:
        lists["command"] = _words(given["entrypoint"])
    if "env" in given or ("env_file" in given and "env_add" not in given):
        lists["env"] = environment(flat(given.get("env", ())), given.get("env_file", ()))
    for name, values in lists.items():
        field = getattr(container, name)
        del field[:]
        field.extend(values)
    if "init" in given:
        container.init.value = given["init"]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="--entrypoint") from error


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
        container.ulimits.extend(map(ulimit, flat(given["ulimit"])))
    if "isolation" in given:
        name = f"ISOLATION_{given['isolation'].upper()}"
        container.isolation = api.ContainerSpec.Isolation.Value(name)
    if "credential_spec" in given:
        _credential_spec(container, given["credential_spec"])


def _credential_spec(container: api.ContainerSpec, text: str) -> None:
    kind, separator, value = text.partition("://")
    if not separator or kind not in ("file", "registry", "config") or not value:
        raise click.BadParameter(
            f"{text!r} is not file://NAME, registry://NAME or config://NAME",
            param_hint="--credential-spec",
        )
    setattr(container.privileges.credential_spec, kind, value)


def _health(spec: api.ServiceSpec, given: Flags) -> None:
    check = spec.task.container.healthcheck
    if given.get("no_healthcheck"):
        if any(name.startswith("health_") for name in given):
            raise click.UsageError("--no-healthcheck conflicts with --health-* options")
        check.Clear()
        check.test.append("NONE")
        return
    if "health_cmd" in given:
        del check.test[:]
        check.test.extend(["CMD-SHELL", given["health_cmd"]])
    for name in ("interval", "timeout", "start_period", "start_interval"):
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
        wanted = generic(given["generic_resources"], "--generic-resources")
        del spec.task.resources.reservations.generic[:]
        spec.task.resources.reservations.generic.extend(wanted)


def _swap(spec: api.ServiceSpec, given: Flags) -> None:
    if "memory_swap" in given:
        unlimited = given["memory_swap"] == "-1"
        swap = -1 if unlimited else memory_bytes(given["memory_swap"], "--memory-swap")
        spec.task.resources.swap_bytes.value = swap
    if "memory_swappiness" in given:
        if given["memory_swappiness"] < 0:
            spec.task.resources.ClearField("memory_swappiness")
        else:
            spec.task.resources.memory_swappiness.value = given["memory_swappiness"]


def _updates(spec: api.ServiceSpec, given: Flags) -> None:
    for kind in ("update", "rollback"):
        is_new = not spec.HasField(kind)
        config = getattr(spec, kind)  # to read one that is not set makes none
        _update_config(config, kind, given)
        if is_new and spec.HasField(kind) and f"{kind}_parallelism" not in given:
            config.parallelism = 1  # nought is all at once, which nobody has asked for


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
