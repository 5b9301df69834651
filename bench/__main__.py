"""python -m bench [--json] [--runs N]: the figures of one node."""

import json
import platform
from dataclasses import asdict

import click
import psutil
from rich.console import Console
from rich.table import Table

from bench.node import Figure, measure


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--runs", default=5, show_default=True, help="Runs whose median is taken.")
def main(as_json: bool, runs: int) -> None:
    """Measure one node of swarmd on this machine."""
    console = Console(stderr=True)
    figures = []
    for figure in measure(runs):
        console.print(f"{figure.name}: {figure.value:.3g} {figure.unit}")
        figures.append(figure)
    machine = {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": psutil.getloadavg()[0],
    }
    if as_json:
        facts = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(", ".join(f"{name} {value}" for name, value in machine.items()))
    Console().print(_table(figures))


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "measured", "hold", box=None, pad_edge=False)
    for one in figures:
        hold = f"{one.hold:g} {one.unit}" if one.hold is not None else ""
        table.add_row(one.name, f"{one.value:.3g} {one.unit}", hold)
    return table


if __name__ == "__main__":
    main()
