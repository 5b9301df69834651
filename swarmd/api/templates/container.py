"""A container spec with its templates filled in.

Environment, host name and mounts may have templates; for a host process its command, arguments and
directory too. The image and the rest not. All of them share one budget.
"""

import json
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from contextlib import contextmanager
from functools import partial

from swarmd import api
from swarmd.api.templates.budget import Budget
from swarmd.api.templates.errors import TemplateError
from swarmd.api.templates.run import expand
from swarmd.api.templates.values import Struct, raw

_Fill = Callable[[str], str]


def expand_container(
    spec: api.ContainerSpec, values: Struct, *, is_host_process: bool = False
) -> api.ContainerSpec:
    """A copy without templates; raises TemplateError, which says where the fault is."""
    fill = partial(_filled, values=values, budget=Budget())
    container = api.ContainerSpec()
    container.CopyFrom(spec)
    with _inside("expanding env failed"):
        container.env[:] = [_environment(entry, fill) for entry in container.env]
    with _inside("expanding mounts failed"):
        for mount in container.mounts:
            _mount(mount, fill)
    with _inside("expanding hostname failed"):
        container.hostname = fill(container.hostname)
    if is_host_process:
        _process(container, fill)
    return container


def _filled(text: str, values: Struct, budget: Budget) -> str:
    """Half a character can come of `slice`: a spec cannot hold that."""
    return raw(expand(text, values, budget=budget)).decode(errors="replace")


def _environment(entry: str, fill: _Fill) -> str:
    name, equals, value = entry.partition("=")
    with _inside(f"expanding env {_quoted(entry)}"):
        return name + equals + fill(value)


def _mount(mount: api.Mount, fill: _Fill) -> None:
    with _inside(f"expanding mount source {_quoted(mount.source)}"):
        mount.source = fill(mount.source)
    with _inside(f"expanding mount target {_quoted(mount.target)}"):
        mount.target = fill(mount.target)
    with _inside("expanding volume labels"):
        _map(mount.volume_options.labels, fill)
    with _inside("expanding volume driver config"):
        _map(mount.volume_options.driver_config.options, fill)


def _map(entries: MutableMapping[str, str], fill: _Fill) -> None:
    for key, value in list(entries.items()):
        with _inside(f"expanding map entry {_quoted(key)}={_quoted(value)}"):
            entries[key] = fill(value)


def _process(container: api.ContainerSpec, fill: _Fill) -> None:
    with _inside("expanding command failed"):
        _each(container.command, fill)
    with _inside("expanding args failed"):
        _each(container.args, fill)
    with _inside("expanding dir failed"):
        container.dir = fill(container.dir)


def _each(words: MutableSequence[str], fill: _Fill) -> None:
    words[:] = [fill(word) for word in words]


@contextmanager
def _inside(what: str) -> Iterator[None]:
    try:
        yield
    except TemplateError as error:
        raise TemplateError(f"{what}: {error}") from error


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
