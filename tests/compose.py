"""Compose files from text, as `swarmctl stack deploy` reads them, with files that are there."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from textwrap import dedent
from typing import Any

import pytest

from swarmd import api
from swarmd.ctl.compose.errors import ComposeError
from swarmd.ctl.compose.project import Project, Surroundings, load
from swarmd.ctl.compose.stack import Stack, stack_of


def around(files: Mapping[str, bytes] | None = None, **environment: str) -> Surroundings:
    """In /srv, with these files there, and this environment."""
    known = {Path("/srv", name): data for name, data in (files or {}).items()}

    def read(path: Path) -> bytes:
        if path not in known:
            raise FileNotFoundError(2, "No such file or directory")
        return known[path]

    return Surroundings(PurePath("/srv"), environment, read)


def project(*texts: str, files: Mapping[str, bytes] | None = None, **environment: str) -> Project:
    named = [(f"{n}.yml", dedent(text).encode()) for n, text in enumerate(texts)]
    return load(named, around(files, **environment))


def stack(*texts: str, files: Mapping[str, bytes] | None = None, **environment: str) -> Stack:
    """As stack `st`."""
    found = project(*texts, files=files, **environment)
    return stack_of("st", found, around(files, **environment))


def service(text: str, below: str = "", **given: Any) -> api.ServiceSpec:
    """The spec of a service `web` with these lines, `below` it the file's other sections."""
    lines = "".join(f"    {line}\n" for line in ["image: host", *dedent(text).splitlines()])
    return stack(f"services:\n  web:\n{lines}{dedent(below)}", **given).services["st_web"]


def refused(*texts: str, files: Mapping[str, bytes] | None = None, **environment: str) -> str:
    """The sentence that it is refused with."""
    with pytest.raises(ComposeError) as caught:
        stack(*texts, files=files, **environment)
    return str(caught.value)


def refused_service(text: str, below: str = "") -> str:
    with pytest.raises(ComposeError) as caught:
        service(text, below)
    return str(caught.value).removeprefix("0.yml:")
