"""Compose files to one project: read, filled in, checked, merged. The way in for stack.py."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from swarmd.ctl.compose import env_file, reading, variables
from swarmd.ctl.compose.errors import ComposeError, Place, shown
from swarmd.ctl.compose.format import FILE, VERSIONS
from swarmd.ctl.compose.merging import merge
from swarmd.ctl.compose.shapes import Notes

NEWEST: Final = VERSIONS[-1]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the files stand: paths in them count from `directory`; `read` raises OSError."""

    directory: PurePath
    environment: Mapping[str, str]
    read: Callable[[Path], bytes]

    def path(self, text: str) -> Path:
        return Path(self.directory, text)

    def contents(self, text: str, place: Place) -> bytes:
        """Of a file that a compose file names; raises ComposeError."""
        try:
            data = self.read(self.path(text))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            named = shown(str(self.path(text)))
            raise ComposeError(f"cannot read {named}: {why}", place) from error
        if len(data) > reading.MOST_BYTES:
            raise ComposeError(f"{shown(str(self.path(text)))} is too long", place)
        return data


def read_file(path: Path) -> bytes:
    """A file's contents, or a little more of them than any may have."""
    with path.open("rb") as file:
        return file.read(reading.MOST_BYTES + 1)


@dataclass(frozen=True, slots=True)
class Project:
    """What the files say together, in canonical form, and which of their keys mean nothing."""

    value: dict[str, Any]
    sources: tuple[reading.Document, ...]
    notices: tuple[str, ...] = ()

    def section(self, name: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.value.get(name, {})
        return found

    def located(self, error: ComposeError) -> ComposeError:
        """The error with the file and line of its place; of several files, the last that fits."""
        place = error.place
        if len(self.sources) > 1:  # which entry of a merged list came from where is not known
            place = tuple(itertools.takewhile(lambda one: isinstance(one, str), place))
        source = max(reversed(self.sources), key=lambda one: len(one.nearest(place)))
        line = source.line(place) if place else 0
        return ComposeError(error.reason, error.place, file=source.name, line=line)


def load(
    files: Sequence[tuple[str, bytes]], around: Surroundings, *, interpolate: bool = True
) -> Project:
    """The project of these files, each a name and its bytes; raises ComposeError."""
    notes = Notes()
    sources = tuple(reading.read(name, data) for name, data in files)
    values = [_one(source, around, notes, interpolate=interpolate) for source in sources]
    versions = [one["version"] for one in values]
    if len(set(versions)) > 1:
        raise ComposeError(f"the files are of different versions: {', '.join(versions)}")
    merged = values[0]
    for other in values[1:]:
        merged = merge(merged, other)
    return Project(merged, sources, tuple(_notices(notes)))


def _one(
    source: reading.Document, around: Surroundings, notes: Notes, *, interpolate: bool
) -> dict[str, Any]:
    value = source.value
    try:
        _check_version(value)
        if interpolate:
            value = variables.fill_in(value, around.environment)
        found = FILE.read(value, (), notes)
        for name, service in found.get("services", {}).items():
            _set_environment(service, around, ("services", name))
    except ComposeError as error:
        if error.file:
            raise
        line = source.line(error.place)
        raise ComposeError(error.reason, error.place, file=source.name, line=line) from error
    given = "" if found.get("version") == "3" else found.get("version")
    return {**found, "version": given or NEWEST}


def _check_version(value: Any) -> None:
    """First of all: what an older format's file has wrong otherwise would only confuse."""
    version = value.get("version", NEWEST) if isinstance(value, dict) else NEWEST
    if isinstance(version, str) and version not in VERSIONS:
        raise ComposeError(
            f"the format {shown(version)!r} is not supported: use version 3 to {NEWEST}, or none",
            ("version",),
        )


def _set_environment(service: dict[str, Any], around: Surroundings, place: Place) -> None:
    """Env files first, then `environment`; what has no value takes the caller's."""
    found: dict[str, str | None] = {}
    for index, name in enumerate(service.pop("env_file", ())):
        data = around.contents(name, (*place, "env_file", index))
        found |= env_file.parse(str(around.path(name)), data, around.environment)
    found |= service.get("environment", {})
    if found:
        service["environment"] = {
            name: value or around.environment.get(name, value) for name, value in found.items()
        }


def _notices(notes: Notes) -> Iterable[str]:
    """A line for each key that is read over, with whose it is."""
    for key, places in sorted(notes.ignored.items()):
        owners = dict.fromkeys(str(place[1]) for place in places if len(place) > 1)
        yield f"ignoring unsupported option {key} ({', '.join(map(shown, owners))})"
