"""Mount flags into a container's mounts (pure)."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.values import Strings, flat, memory_bytes

_Type: Final = api.Mount.Type
_OCTAL: Final = 8


def merge_mounts(spec: api.ServiceSpec, given: Mapping[str, Any]) -> None:
    """Change the mounts by what was given; raises click.BadParameter."""
    container = spec.task.container
    if "mount_rm" in given:
        _drop(container, given["mount_rm"])
    mounts = [
        *(_from_source(text, _Type.BIND, "--bind") for text in flat(given.get("bind", ()))),
        *(_volume(text) for text in flat(given.get("volume", ()))),
        *(tmpfs_mount(text) for text in given.get("tmpfs", ())),
        *(_from_source(text, _Type.NPIPE, "--npipe") for text in flat(given.get("npipe", ()))),
    ]
    container.mounts.extend(mounts)
    for text in given.get("mount_add", ()):
        added = mount(text)
        _drop(container, [added.target])
        container.mounts.append(added)


def _drop(container: api.ContainerSpec, targets: Collection[str]) -> None:
    kept = [one for one in container.mounts if one.target not in targets]
    if len(kept) != len(container.mounts):
        del container.mounts[:]
        container.mounts.extend(kept)


def mount(text: str) -> api.Mount:
    """Docker's type=volume,source=NAME,target=PATH,…; raises BadParameter."""
    made = api.Mount(type=_Type.VOLUME)
    for piece in Strings().convert(text, None, None):
        key, separator, value = piece.partition("=")
        setter = _SETTERS.get(key.lower())
        if setter is None or (not separator and key.lower() not in _SWITCHES):
            raise click.BadParameter(
                f"{piece!r} in {text!r} is no option of a mount", param_hint="--mount"
            )
        setter(made, value)
    _check(made, text)
    return made


def _check(made: api.Mount, text: str) -> None:
    wrong = ""
    if not made.target:
        wrong = "has no target=PATH"
    elif made.type == _Type.BIND and not made.source:
        wrong = "has no source=PATH, which a bind mount needs"
    elif made.type == _Type.TMPFS and made.source:
        wrong = "has a source, and a tmpfs has none"
    for kind, options in _OPTIONS.items():
        is_set = any(field.name == options for field, _ in made.ListFields())
        if is_set and made.type not in kind:
            wrong = (
                f"mixes the type {_Type.Name(made.type).lower()} with {options.replace('_', ' ')}"
            )
    if wrong:
        raise click.BadParameter(f"{text!r} {wrong}", param_hint="--mount")


def _enum(enum: Any, value: str) -> Any:
    name = value.upper()
    if name not in enum.keys():  # noqa: SIM118 - an enum, no dict
        known = ", ".join(each.lower() for each in enum.keys())  # noqa: SIM118
        raise click.BadParameter(f"{value!r} is not one of {known}", param_hint="--mount")
    return enum.Value(name)


def _bool(value: str) -> bool:
    if value.lower() not in ("", "1", "true", "0", "false"):
        raise click.BadParameter(f"{value!r} is neither true nor false", param_hint="--mount")
    return value.lower() in ("", "1", "true")


def _source(made: api.Mount, value: str) -> None:
    made.source = str(Path(value).absolute()) if value.startswith(".") else value


def _recursive(made: api.Mount, value: str) -> None:
    fields = {
        "enabled": None,
        "disabled": "nonrecursive",
        "writable": "readonlynonrecursive",
        "readonly": "readonlyforcerecursive",
    }
    if value not in fields:
        raise click.BadParameter(
            f"{value!r} is not one of {', '.join(fields)}", param_hint="--mount"
        )
    if field := fields[value]:
        setattr(made.bind_options, field, True)


def _pair(value: str) -> dict[str, str]:
    key, _, text = value.partition("=")
    return {key: text}


def _tmpfs_mode(made: api.Mount, value: str) -> None:
    if not re.fullmatch("[0-7]+", value):
        raise click.BadParameter(f"{value!r} is no mode such as 1777", param_hint="--mount")
    made.tmpfs_options.mode = int(value, _OCTAL)


_SWITCHES: Final = frozenset({"readonly", "ro", "volume-nocopy", "bind-create-src"})
_OPTIONS: Final = {
    (_Type.BIND,): "bind_options",
    (_Type.VOLUME, _Type.CLUSTER): "volume_options",
    (_Type.TMPFS,): "tmpfs_options",
}
_SETTERS: Final[Mapping[str, Callable[[api.Mount, str], None]]] = {
    "type": lambda m, v: setattr(m, "type", _enum(_Type, v)),
    "source": _source,
    "src": _source,
    "target": lambda m, v: setattr(m, "target", v),
    "dst": lambda m, v: setattr(m, "target", v),
    "destination": lambda m, v: setattr(m, "target", v),
    "readonly": lambda m, v: setattr(m, "readonly", _bool(v)),
    "ro": lambda m, v: setattr(m, "readonly", _bool(v)),
    "consistency": lambda m, v: setattr(m, "consistency", _enum(api.Mount.Consistency, v)),
    "bind-propagation": lambda m, v: setattr(
        m.bind_options, "propagation", _enum(api.Mount.BindOptions.Propagation, v)
    ),
    "bind-recursive": _recursive,
    "bind-create-src": lambda m, v: setattr(m.bind_options, "createmountpoint", _bool(v)),
    "volume-subpath": lambda m, v: setattr(m.volume_options, "subpath", v),
    "volume-nocopy": lambda m, v: setattr(m.volume_options, "nocopy", _bool(v)),
    "volume-label": lambda m, v: m.volume_options.labels.update(_pair(v)),
    "volume-driver": lambda m, v: setattr(m.volume_options.driver_config, "name", v),
    "volume-opt": lambda m, v: m.volume_options.driver_config.options.update(_pair(v)),
    "tmpfs-size": lambda m, v: setattr(
        m.tmpfs_options, "size_bytes", memory_bytes(v, "--mount tmpfs-size")
    ),
    "tmpfs-mode": _tmpfs_mode,
}


def _from_source(text: str, kind: api.Mount.Type.ValueType, flag: str) -> api.Mount:
    source, separator, target = text.partition(":")
    if not separator or not source or not target:
        raise click.BadParameter(f"{text!r} is not source:target", param_hint=flag)
    return api.Mount(type=kind, source=source, target=target)


def _volume(text: str) -> api.Mount:
    if ":" in text or not text:
        raise click.BadParameter(f"{text!r} is not a target path", param_hint="--volume")
    return api.Mount(type=_Type.VOLUME, target=text)


def tmpfs_mount(text: str) -> api.Mount:
    """target[:size=64m,mode=1777,ro,noexec]; raises click.BadParameter."""
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise click.BadParameter(
            f"{text!r} does not start with an absolute path", param_hint="--tmpfs"
        )
    mount = api.Mount(type=_Type.TMPFS, target=target)
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name == "size":
            mount.tmpfs_options.size_bytes = memory_bytes(value, "--tmpfs")
        elif name == "mode" and re.fullmatch("[0-7]{1,4}", value):
            mount.tmpfs_options.mode = int(value, _OCTAL)
        elif option in ("ro", "rw"):
            mount.readonly = option == "ro"
        elif option in ("exec", "noexec"):
            mount.tmpfs_options.options = option
        else:
            raise click.BadParameter(f"{option!r} is no option of a tmpfs", param_hint="--tmpfs")
    return mount
