"""One measured figure, and how many of them are shown."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import click
import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `load` is what else the machine did when it was known."""

    name: str
    value: float
    unit: str
    hold: float | None = None
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 1))


def show(figures: Iterable[Figure], *, as_json: bool) -> None:
    """Each on stderr as soon as it is known, then all of them on stdout."""
    console = Console(stderr=True)
    known = []
    for figure in figures:
        console.print(f"{figure.name}: {figure.value:.3g} {figure.unit}")
        known.append(figure)
    machine = _machine()
    if as_json:
        facts = {"machine": machine, "figures": [asdict(figure) for figure in known]}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(", ".join(f"{name} {value}" for name, value in machine.items()))
    Console().print(_table(known))


def _machine() -> dict[str, object]:
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": psutil.getloadavg()[0],
    }


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "measured", "hold", "load", box=None, pad_edge=False)
    for one in figures:
        hold = f"{one.hold:g} {one.unit}" if one.hold is not None else ""
        table.add_row(one.name, f"{one.value:.4g} {one.unit}", hold, f"{one.load:g}")
    return table
