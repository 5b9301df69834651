"""python -m bench [--json] [--runs N]: the figures of one node."""

import click

from bench.figures import show
from bench.node import measure


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--runs", default=5, show_default=True, help="Runs whose median is taken.")
def main(as_json: bool, runs: int) -> None:
    """Measure one node of swarmd on this machine."""
    show(measure(runs), as_json=as_json)


if __name__ == "__main__":
    main()
