"""Fill in {{.Service.Name}} and kin, in what a task's spec says of its environment.

SwarmKit's context and rules: env (the value behind `=`), hostname, and mounts (source, target,
volume labels, driver options). For host processes also command, args and dir.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.internal.containers import ScalarMap

from swarmd import api
from swarmd.api import tasks
from workers.agent.executors.errors import RejectedError
from workers.agent.template_syntax import Function, Struct, TemplateError, render, show

_HOST_IMAGE: Final = "host"
_VERB: Final = re.compile(r"%(?P<flags>[-+ 0#]*)(?P<width>\d{0,3})(?P<verb>.?)", re.DOTALL)

Expand = Callable[[str], str]


def context(task: api.Task, node: api.Node) -> Struct:
    """What templates of the task see; names that the node does not tell are empty."""
    platform = node.description.platform
    return Struct(
        Service=Struct(
            ID=task.service_id,
            Name=task.service_annotations.name,
            Labels=dict(task.service_annotations.labels),
        ),
        Node=Struct(
            ID=task.node_id,
            Hostname=node.description.hostname,
            Platform=Struct(Architecture=platform.architecture, OS=platform.os),
        ),
        Task=Struct(
            ID=task.id,
            Name=tasks.name(task),
            Slot=str(task.slot) if task.slot else task.node_id,
        ),
    )


def expand(text: str, context: Struct, functions: Mapping[str, Function] | None = None) -> str:
    """The text filled in; raises TemplateError. `functions` come beside the usual ones."""
    if "{{" not in text:
        return text
    return render(text, context, {**_FUNCTIONS, **(functions or {})})


def expand_spec(task: api.Task, node: api.Node) -> api.ContainerSpec:
    """The task's container spec filled in; raises RejectedError, naming the field."""
    spec = api.ContainerSpec()
    spec.CopyFrom(task.spec.container)
    facts = context(task, node)

    def within(field: str) -> Expand:
        def filled(text: str) -> str:
            try:
                return expand(text, facts)
            except TemplateError as error:
                raise RejectedError(f"{field}: bad template {text!r}: {error}") from error

        return filled

    spec.env[:] = [_expand_env(entry, within("env")) for entry in spec.env]
    spec.hostname = within("hostname")(spec.hostname)
    for mount in spec.mounts:
        _expand_mount(mount, within("mounts"))
    if spec.image == _HOST_IMAGE:
        spec.command[:] = map(within("command"), spec.command)
        spec.args[:] = map(within("args"), spec.args)
        spec.dir = within("dir")(spec.dir)
    return spec


def _expand_env(entry: str, expand: Expand) -> str:
    name, equals, value = entry.partition("=")
    return f"{name}={expand(value)}" if equals else entry


def _expand_mount(mount: api.Mount, expand: Expand) -> None:
    mount.source = expand(mount.source)
    mount.target = expand(mount.target)
    if mount.HasField("volume_options"):
        _expand_map(mount.volume_options.labels, expand)
        if mount.volume_options.HasField("driver_config"):
            _expand_map(mount.volume_options.driver_config.options, expand)


def _expand_map(texts: ScalarMap[str, str], expand: Expand) -> None:
    for key, text in list(texts.items()):
        texts[key] = expand(text)


def _index(found: Any, *keys: Any) -> Any:
    """A missing key is empty here, as in Go; only a missing field is an error."""
    for key in keys:
        if not isinstance(found, Mapping) or isinstance(found, Struct):
            raise TemplateError(f"index cannot look into {show(found)!r}")
        found = found.get(key, "")
    return found


def _join(separator: str, *texts: str) -> str:
    return separator.join(texts)


def _printf(form: str, *values: Any) -> str:
    """The verbs %s, %v, %d and %q, with a width of three digits at most."""
    left = list(values)

    def printed(found: re.Match[str]) -> str:
        verb, width = found["verb"], int(found["width"] or 0)
        if verb == "%":
            return "%"
        if not verb or verb not in "svdq":
            raise TemplateError(f"printf: there is no verb {found[0]!r} here")
        if not left:
            raise TemplateError(f"printf: no value for {found[0]!r}")
        text = _verb(verb, left.pop(0))
        if "-" in found["flags"]:
            return text.ljust(width)
        return text.zfill(width) if "0" in found["flags"] and verb == "d" else text.rjust(width)

    result = _VERB.sub(printed, form)
    if left:
        raise TemplateError("printf: more values than verbs")
    return result


def _verb(verb: str, value: Any) -> str:
    if verb == "d" and (not isinstance(value, int) or isinstance(value, bool)):
        raise TemplateError(f"printf: {show(value)!r} is not a number")
    if verb == "q":
        escaped = show(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return show(value)


def _and(first: Any, *others: Any) -> Any:
    return next((each for each in (first, *others) if not each), (first, *others)[-1])


def _or(first: Any, *others: Any) -> Any:
    return next((each for each in (first, *others) if each), (first, *others)[-1])


def _eq(first: Any, second: Any, *others: Any) -> bool:
    return any(type(first) is type(each) and first == each for each in (second, *others))


_FUNCTIONS: Final[Mapping[str, Function]] = {
    "and": _and,
    "eq": _eq,
    "index": _index,
    "join": _join,
    "len": len,
    "ne": lambda first, second: not _eq(first, second),
    "not": lambda value: not value,
    "or": _or,
    "print": lambda *values: "".join(map(show, values)),
    "printf": _printf,
}
