"""The swarmd command: a click group; alone, or as `run`, it is the node in the foreground."""

import asyncio
import sys
from typing import Any

import click
from click.core import ParameterSource

from swarmd import __version__
from swarmd.cli import service
from swarmd.cli.logs import logs
from swarmd.cli.options import node_config, node_options, with_live_changes
from swarmd.cli.status import status


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-v", message="swarmd %(version)s")
@node_options
@click.pass_context
def main(ctx: click.Context, /, **values: Any) -> None:
    """Run a node of a swarm cluster. Alone, swarmd does what `swarmd run` does."""
    if ctx.invoked_subcommand is None:
        _run(ctx, values)
    for name in values:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            flag = "--" + name.replace("_", "-")
            message = f"{flag} stands before the command: put it behind {ctx.invoked_subcommand}."
            raise click.UsageError(message)


@main.command()
@node_options
@click.pass_context
def run(ctx: click.Context, /, **values: Any) -> None:
    """Run the node in the foreground, until Ctrl+C."""
    _run(ctx, values)


def _run(ctx: click.Context, values: dict[str, Any]) -> None:
    # Here, and not above: the other commands have no use for the parent's code.
    from swarmd.node import run_node  # noqa: PLC0415

    config = node_config(values)
    sys.exit(asyncio.run(run_node(config, reload=lambda: with_live_changes(config, ctx))))


for command in (
    service.start,
    service.stop,
    service.restart,
    service.reload,
    logs,
    status,
):
    main.add_command(command)
