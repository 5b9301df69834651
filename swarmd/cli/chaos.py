"""swarmd chaos: the simulation, in a process of its own; the parent never imports a worker."""

import subprocess
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    short_help="Simulate a cluster under faults, and check what must always hold.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def chaos(arguments: tuple[str, ...]) -> None:
    """Simulate a cluster under faults, and check what must always hold."""
    command = [sys.executable, "-m", "workers.simulation", *arguments]
    try:
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603  our own program
    except KeyboardInterrupt:
        sys.exit(130)
