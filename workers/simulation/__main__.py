"""python -m workers.simulation: what `swarmd chaos` runs."""

import os
import sys
import time
from typing import Final

import click
import durationpy

from workers.simulation.faults import KINDS
from workers.simulation.invariants import SENTENCES
from workers.simulation.many import Summary, run_many
from workers.simulation.scenario import Plan, Scenario, replay_command

_MODULE: Final = "workers.simulation"
_USUAL: Final = Plan()
_SEEDS: Final = 1000


class _Help(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Invariants, checked at every commit"):
            formatter.write_dl(list(SENTENCES.items()))
        with formatter.section("Faults"):
            formatter.write_text(", ".join(KINDS))


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: object, ctx: object) -> float:  # noqa: ARG002
        if isinstance(value, float):
            return value
        try:
            seconds = durationpy.from_str(str(value)).total_seconds()
        except (durationpy.DurationError, ValueError):
            seconds = -1.0
        if seconds <= 0:
            self.fail(f"{value} is no duration: write 90s, or 2m30s")
        return float(seconds)


class _Faults(click.ParamType["tuple[str, ...]"]):
    name = "list"

    def convert(self, value: object, param: object, ctx: object) -> tuple[str, ...]:  # noqa: ARG002
        if isinstance(value, tuple):
            return value
        names = tuple(name for name in str(value).split(",") if name and name != "none")
        unknown = [name for name in names if name not in KINDS]
        if unknown:
            self.fail(f"no fault is called {unknown[0]}: there are {', '.join(KINDS)}, and none")
        return names


@click.command(cls=_Help, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", type=int, help="Run this seed alone; its number decides all there is.")
@click.option("--seeds", type=click.IntRange(1), help=f"Run so many seeds.  [default: {_SEEDS}]")
@click.option("--first", type=int, default=0, show_default=True, help="The first of many seeds.")
@click.option("--for", "real", type=_Duration(), help="Run seeds for this long, in real time.")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one for each core]")
@click.option(
    "--duration",
    type=_Duration(),
    default=_USUAL.seconds,
    help="Virtual time during which things fail, before peace.  [default: 60s]",
)
@click.option("--nodes", type=click.IntRange(1, 50), default=_USUAL.nodes, show_default=True)
@click.option("--services", type=click.IntRange(1, 50), default=_USUAL.services, show_default=True)
@click.option("--faults", type=_Faults(), default=_USUAL.faults, help="Which, by name.  [all]")
@click.option("--trace", is_flag=True, help="Print every event; takes --seed.")
def main(
    *,
    seed: int | None,
    seeds: int | None,
    first: int,
    real: float | None,
    jobs: int | None,
    duration: float,
    nodes: int,
    services: int,
    faults: tuple[str, ...],
    trace: bool,
) -> None:
    """Simulate a cluster under faults, many times, and check what must always hold.

    Manager and agents are the real ones; clock, network, disks and tasks are made up from a seed,
    which always gives the same run. The exit status is 1 where an invariant broke, and the command
    is shown that replays it.
    """
    if trace and seed is None:
        raise click.UsageError("--trace shows one run: say which with --seed.")
    if seed is not None and (seeds is not None or real is not None):
        raise click.UsageError("--seed runs one seed: leave --seeds and --for out.")
    plan = Plan(seconds=duration, nodes=nodes, services=services, faults=faults)
    began, total = time.monotonic(), Summary()
    if seed is not None and trace:
        outcome = Scenario(seed, plan, click.echo).run()
        sys.exit(0 if outcome.violation is None else 1)
    count = 1 if seed is not None else seeds or (None if real is not None else _SEEDS)
    for part in run_many(
        plan,
        first=first if seed is None else seed,
        seeds=count,
        real_seconds=real,
        jobs=1 if count == 1 else jobs or os.cpu_count() or 1,
    ):
        for number, violation in part.violations:
            click.echo(f"seed {number} breaks {violation}")
            click.echo(f"  replay: {replay_command(number, plan)}")
        total.add(part)
    total.real_seconds = time.monotonic() - began
    click.echo(_told(total))
    sys.exit(1 if total.violations else 0)


def _told(total: Summary) -> str:
    real = max(total.real_seconds, 0.001)
    return (
        f"{total.seeds} seeds in {real:.1f} s, {len(total.violations)} with violations: "
        f"{total.simulated_seconds / real:,.0f} simulated seconds/s, "
        f"{total.calls / real:,.0f} events/s, {total.seeds / real:.0f} seeds/s; "
        f"{total.commits:,} commits by {total.lives:,} managers"
    )


def run() -> None:
    """Begin anew where the hashes of strings are chance, and with them the order of sets."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", _MODULE, *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606  ourselves, with our arguments
    main(prog_name="swarmd chaos")


if __name__ == "__main__":
    run()
