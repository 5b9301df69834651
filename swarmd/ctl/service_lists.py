"""Docker's flags that add to a service's lists and take out of them: --env-add, --host-rm (pure).

What is taken out goes first, so that the same flag can change what is there; the rest keeps its
order, and its tasks.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import resources
from swarmd.ctl.values import flat, options

Flags = Mapping[str, Any]


def merge_lists(spec: api.ServiceSpec, given: Flags) -> None:
    """Change the lists by what was given; raises click.BadParameter."""
    container = spec.task.container
    _edit_environment(container, given)
    _edit_map(spec.annotations.labels, given, "label")
    _edit_map(container.labels, given, "container_label")
    _edit_map(container.sysctls, given, "sysctl")
    _edit_preferences(spec.task.placement, given)
    _edit_ulimits(container, given)
    _edit_generic(spec.task, given)
    _edit_hosts(container, given)
    _edit_capabilities(container, given)
    for name, owner, field in (
        ("constraint", lambda: spec.task.placement, "constraints"),
        ("group", lambda: container, "groups"),
        ("dns", lambda: container.dns_config, "nameservers"),
        ("dns_option", lambda: container.dns_config, "options"),
        ("dns_search", lambda: container.dns_config, "search"),
    ):
        if _touches(given, name):  # reading a message alone does not set it, editing it does
            _edit(getattr(owner(), field), given, name)


def _touches(given: Flags, name: str) -> bool:
    return f"{name}_add" in given or f"{name}_rm" in given


def _edit(field: Any, given: Flags, name: str) -> None:
    gone, added = given.get(f"{name}_rm", ()), given.get(f"{name}_add", ())
    _replace(field, dict.fromkeys([*(one for one in field if one not in gone), *added]))


def _replace(field: Any, values: Iterable[Any]) -> None:
    kept = list(values)
    del field[:]
    field.extend(kept)


def _edit_map(field: Any, given: Flags, name: str) -> None:
    for key in given.get(f"{name}_rm", ()):
        field.pop(key, None)
    added = given.get(f"{name}_add", ())
    field.update(options(flat(added) if name == "label" else added))


def environment(texts: Iterable[str], files: Iterable[str] = ()) -> list[str]:
    """KEY=VALUE each, those of the files first; KEY alone is this command's own value."""
    lines = [line for path in files for line in _lines(path)]
    return [_with_value(text) for text in (*lines, *texts)]


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--env-file") from error
    lines = (line.lstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _with_value(text: str) -> str:
    return f"{text}={os.environ[text]}" if "=" not in text and text in os.environ else text


def _key(text: str) -> str:
    return text.partition("=")[0]


def _edit_environment(container: api.ContainerSpec, given: Flags) -> None:
    gone = given.get("env_rm", ())
    added = environment(flat(given.get("env_add", ())), given.get("env_file", ()))
    if not gone and not added:
        return
    kept = [one for one in container.env if _key(one) not in gone]
    _replace(container.env, {_key(one): one for one in (*kept, *added)}.values())


def _edit_preferences(placement: api.Placement, given: Flags) -> None:
    gone = [_spread(text, "--placement-pref-rm") for text in given.get("placement_pref_rm", ())]
    if gone:
        kept = [p for p in placement.preferences if p.spread.spread_descriptor not in gone]
        _replace(placement.preferences, kept)
    for text in given.get("placement_pref_add", ()):
        descriptor = _spread(text, "--placement-pref")
        placement.preferences.add().spread.spread_descriptor = descriptor


def _spread(text: str, flag: str) -> str:
    strategy, _, descriptor = text.partition("=")
    if strategy.strip().lower() != "spread" or not descriptor.strip():
        raise click.BadParameter(
            f"{text!r} is no preference: only spread is, as in spread=node.labels.zone",
            param_hint=flag,
        )
    return descriptor.strip()


def ulimit(text: str) -> api.ContainerSpec.Ulimit:
    """name=soft[:hard]; raises BadParameter."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return api.ContainerSpec.Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not name=soft[:hard]", param_hint="--ulimit"
        ) from error


def _edit_ulimits(container: api.ContainerSpec, given: Flags) -> None:
    if not _touches(given, "ulimit"):
        return
    gone = {_key(text) for text in flat(given.get("ulimit_rm", ()))}
    kept = {one.name: one for one in container.ulimits if one.name not in gone}
    added = map(ulimit, flat(given.get("ulimit_add", ())))
    _replace(container.ulimits, (kept | {one.name: one for one in added}).values())


def generic(text: str, flag: str) -> list[api.GenericResource]:
    """gpu=2,fpga=1; raises BadParameter."""
    try:
        return resources.parse(text)
    except resources.GenericResourceError as error:
        raise click.BadParameter(str(error), param_hint=flag) from error


def _edit_generic(task: api.TaskSpec, given: Flags) -> None:
    if not _touches(given, "generic_resource"):
        return
    field = task.resources.reservations.generic
    present = {one.discrete_resource_spec.kind: one for one in field}
    for kind in given.get("generic_resource_rm", ()):
        if present.pop(_key(kind), None) is None:
            raise click.BadParameter(
                f"{kind!r} is not reserved", param_hint="--generic-resource-rm"
            )
    for text in given.get("generic_resource_add", ()):
        for one in generic(text, "--generic-resource"):
            present[one.discrete_resource_spec.kind] = one
    _replace(field, present.values())


def _edit_hosts(container: api.ContainerSpec, given: Flags) -> None:
    """name:address in Docker's words is "address name [alias …]" in SwarmKit's."""
    if not _touches(given, "host"):
        return
    gone = [text.partition(":") for text in given.get("host_rm", ())]
    kept = []
    for entry in container.hosts:
        address, *names = entry.split()
        left = [
            n for n in names if not any(n == name and a in ("", address) for name, _, a in gone)
        ]
        kept += [" ".join((address, *left))] if left else []
    added = [_host(text) for text in given.get("host_add", ())]
    _replace(container.hosts, dict.fromkeys([*kept, *added]))


def _host(text: str) -> str:
    name, separator, address = text.partition(":")
    if not separator or not name or not address:
        raise click.BadParameter(f"{text!r} is not host:ip", param_hint="--host")
    return f"{address} {name}"


_ALL: Final = "ALL"


def capability(name: str) -> str:
    """NET_ADMIN is CAP_NET_ADMIN."""
    upper = name.strip().upper()
    return upper if upper == _ALL or upper.startswith("CAP_") else f"CAP_{upper}"


def _edit_capabilities(container: api.ContainerSpec, given: Flags) -> None:
    """To add what was dropped takes it out of the dropped alone, and the other way round."""
    added = {capability(name) for name in given.get("cap_add", ())}
    dropped = {capability(name) for name in given.get("cap_drop", ())} - added
    if not added and not dropped:
        return
    was_added = set(map(capability, container.capability_add))
    was_dropped = set(map(capability, container.capability_drop))
    _replace(container.capability_add, _unless_all(was_added - dropped | added - was_dropped))
    _replace(container.capability_drop, _unless_all(was_dropped - added | dropped - was_added))


def _unless_all(names: Collection[str]) -> list[str]:
    return [_ALL] if _ALL in names else sorted(names)
