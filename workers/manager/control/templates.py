"""A container spec's templates filled in with stand-in values (pure).

Environment, host name and mounts may have templates; the image, the command and the rest not.
Labels of a service are not known here, so that a template which names one fails, as SwarmKit's.
"""

import json
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Final

from swarmd import api
from workers.manager.control.template_functions import Struct
from workers.manager.control.template_run import fill_in
from workers.manager.control.template_syntax import TemplateError

__all__ = ["TemplateError", "expand_container"]

_PLATFORM: Final = Struct("template.Platform", {"Architecture": "architecture", "OS": "os"})
_NODE: Final = Struct(
    "struct { ID string; Hostname string; Platform template.Platform }",
    {"ID": "nodeid", "Hostname": "nodeHostname", "Platform": _PLATFORM},
)
_SERVICE: Final = Struct(
    "struct { ID string; Name string; Labels map[string]string }",
    {"ID": "serviceid", "Name": "servicename", "Labels": {}},
)
_TASK: Final = Struct(
    "struct { ID string; Name string; Slot string }", {"ID": "", "Name": "taskname", "Slot": "1"}
)
_VALUES: Final = Struct("*template.Context", {"Service": _SERVICE, "Node": _NODE, "Task": _TASK})


def expand_container(spec: api.ContainerSpec) -> api.ContainerSpec:
    """A copy without templates; raises TemplateError, which says where the fault is."""
    container = api.ContainerSpec()
    container.CopyFrom(spec)
    with _inside("expanding env failed"):
        container.env[:] = [_environment(entry) for entry in container.env]
    with _inside("expanding mounts failed"):
        for mount in container.mounts:
            _mount(mount)
    with _inside("expanding hostname failed"):
        container.hostname = fill_in(container.hostname, _VALUES)
    return container


def _environment(entry: str) -> str:
    name, equals, value = entry.partition("=")
    with _inside(f"expanding env {_quoted(entry)}"):
        return name + equals + fill_in(value, _VALUES)


def _mount(mount: api.Mount) -> None:
    with _inside(f"expanding mount source {_quoted(mount.source)}"):
        mount.source = fill_in(mount.source, _VALUES)
    with _inside(f"expanding mount target {_quoted(mount.target)}"):
        mount.target = fill_in(mount.target, _VALUES)
    with _inside("expanding volume labels"):
        _map(mount.volume_options.labels)
    with _inside("expanding volume driver config"):
        _map(mount.volume_options.driver_config.options)


def _map(entries: MutableMapping[str, str]) -> None:
    for key, value in list(entries.items()):
        with _inside(f"expanding map entry {_quoted(key)}={_quoted(value)}"):
            entries[key] = fill_in(value, _VALUES)


@contextmanager
def _inside(what: str) -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        raise TemplateError(f"{what}: {error}") from error


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
