"""The swarmd command: a click group; alone, or as `run`, it is the node in the foreground."""

import asyncio
import importlib
import signal
import sys
from typing import Any, Final

import click
from click.core import ParameterSource

from swarmd import __version__
from swarmd.cli.join_settings import with_join_settings
from swarmd.cli.options import node_config, node_options, with_live_changes

_LATE: Final = {
    "chaos": "swarmd.cli.chaos",
    "import": "swarmd.cli.import_swarm",
    "join": "swarmd.cli.membership",
    "leave": "swarmd.cli.membership",
    "logs": "swarmd.cli.logs",
    "reload": "swarmd.cli.service",
    "restart": "swarmd.cli.service",
    "restore": "swarmd.cli.restore",
    "start": "swarmd.cli.service",
    "status": "swarmd.cli.status",
    "stop": "swarmd.cli.service",
    "store": "swarmd.cli.store",
    "unlock": "swarmd.cli.unlock",
}
_FUNCTIONS: Final = {"import": "import_swarm"}  # the word is Python's


class LateGroup(click.Group):
    """A group whose commands are imported when asked for.

    The parent of a node is this program, and stays for as long as the node: what only the other
    commands need (rich, grpc, supervisor) would double its memory.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, imported or not."""
        return sorted({*super().list_commands(ctx), *_LATE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now where it was not yet."""
        if cmd_name not in _LATE:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(_LATE[cmd_name])
        found: click.Command = getattr(module, _FUNCTIONS.get(cmd_name, cmd_name))
        return found


@click.group(
    cls=LateGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", "-v", message="swarmd %(version)s")
@node_options
@click.pass_context
def main(ctx: click.Context, /, **values: Any) -> None:
    """Run a node of a swarm cluster. Alone, swarmd does what `swarmd run` does."""
    if ctx.invoked_subcommand is None:
        _run(ctx, values)
    if ctx.invoked_subcommand != "run" and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # they have something to clean up
    for name in values:
        if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(
                f"{flag} stands before the command: put it behind {ctx.invoked_subcommand}."
            )


@main.command()
@node_options
@click.pass_context
def run(ctx: click.Context, /, **values: Any) -> None:
    """Run the node in the foreground, until Ctrl+C."""
    _run(ctx, values)


def _run(ctx: click.Context, values: dict[str, Any]) -> None:
    # Here, and not above: the other commands have no use for the parent's code.
    from swarmd.node import run_node  # noqa: PLC0415

    config = with_join_settings(node_config(values))
    sys.exit(asyncio.run(run_node(config, reload=lambda: with_live_changes(config, ctx))))
