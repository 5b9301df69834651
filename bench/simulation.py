"""The simulation's speed: simulated seconds and events a second, in one process.

python -m bench.simulation [--seeds N] [--json]
"""

import json
import time
from dataclasses import asdict, dataclass

import click

from workers.simulation.many import run_batch
from workers.simulation.scenario import Plan


@dataclass(frozen=True)
class Speed:
    """Rates over some seeds; `violations` is 0, or the figures mean little."""

    seeds: int
    seeds_a_second: float
    simulated_seconds_a_second: float
    events_a_second: float
    commits_a_second: float
    violations: int


def measure(seeds: int) -> Speed:
    run_batch(range(1), Plan())  # imports and caches are no part of it
    began = time.monotonic()
    summary = run_batch(range(seeds), Plan())
    spent = time.monotonic() - began
    return Speed(
        seeds,
        seeds / spent,
        summary.simulated_seconds / spent,
        summary.calls / spent,
        summary.commits / spent,
        len(summary.violations),
    )


@click.command()
@click.option("--seeds", default=200, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(seeds: int, as_json: bool) -> None:
    """Measure the simulation on this machine."""
    speed = asdict(measure(seeds))
    if as_json:
        print(json.dumps(speed))
        return
    for name, value in speed.items():
        print(f"{name.replace('_', ' '):28} {value:12,.0f}")


if __name__ == "__main__":
    main()
