"""A service's references to secrets and configs, by name."""

from collections.abc import Iterable
from typing import Any, Final

import click

from swarmd import api
from swarmd.ctl.connection import Control
from swarmd.ctl.resolve import resolve
from swarmd.ctl.values import flat

_READ_BY_ALL: Final = 0o444


async def add_references(
    control: Control, spec: api.ServiceSpec, kind: str, texts: Iterable[Iterable[str]]
) -> None:
    """Add name[:target] each, of that kind (secret or config); raises NotFoundError."""
    for text in flat(texts):
        name, target = _parts(text, kind)
        found = await resolve(control, kind, name)
        file = api.FileTarget(name=target, mode=_READ_BY_ALL)
        ids = {f"{kind}_id": found.id, f"{kind}_name": found.spec.annotations.name}
        _references(spec, kind).add(file=file, **ids)


def drop_references(spec: api.ServiceSpec, kind: str, texts: Iterable[Iterable[str]]) -> None:
    """Take out every reference to these names."""
    gone = {_parts(text, kind)[0] for text in flat(texts)}
    references = _references(spec, kind)
    kept = [one for one in references if getattr(one, f"{kind}_name") not in gone]
    del references[:]
    references.extend(kept)


def _references(spec: api.ServiceSpec, kind: str) -> Any:
    return getattr(spec.task.container, f"{kind}s")


def _parts(text: str, kind: str) -> tuple[str, str]:
    name, separator, target = (part.strip() for part in text.partition(":"))
    if not name or (separator and not target):
        raise click.BadParameter(f"{text!r} is not name[:target]", param_hint=f"--{kind}")
    return name, target or name
