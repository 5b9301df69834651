"""Mount flags into a container's mounts (pure)."""

from collections.abc import Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.values import flat, memory_bytes

_Type: Final = api.Mount.Type
_OCTAL: Final = 8


def merge_mounts(spec: api.ServiceSpec, given: Mapping[str, Any]) -> None:
    """Add what --bind, --volume, --tmpfs and --npipe ask for; raises click.BadParameter."""
    mounts = [
        *(_from_source(text, _Type.BIND, "--bind") for text in flat(given.get("bind", ()))),
        *(_volume(text) for text in flat(given.get("volume", ()))),
        *(_tmpfs(text) for text in given.get("tmpfs", ())),
        *(_from_source(text, _Type.NPIPE, "--npipe") for text in flat(given.get("npipe", ()))),
    ]
    spec.task.container.mounts.extend(mounts)


def _from_source(text: str, kind: api.Mount.Type.ValueType, flag: str) -> api.Mount:
    source, separator, target = text.partition(":")
    if not separator or not source or not target:
        raise click.BadParameter(f"{text!r} is not source:target", param_hint=flag)
    return api.Mount(type=kind, source=source, target=target)


def _volume(text: str) -> api.Mount:
    if ":" in text or not text:
        raise click.BadParameter(f"{text!r} is not a target path", param_hint="--volume")
    return api.Mount(type=_Type.VOLUME, target=text)


def _tmpfs(text: str) -> api.Mount:
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
        elif name == "mode" and value.isdigit():
            mount.tmpfs_options.mode = int(value, _OCTAL)
        elif option in ("ro", "rw"):
            mount.readonly = option == "ro"
        elif option in ("exec", "noexec"):
            mount.tmpfs_options.options = option
        else:
            raise click.BadParameter(f"{option!r} is no option of a tmpfs", param_hint="--tmpfs")
    return mount
