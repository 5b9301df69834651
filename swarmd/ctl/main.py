"""The swarmctl command: a click group, its aliases, version and shell completion."""

from pathlib import Path
from typing import Final

import click
from click.shell_completion import get_completion_class

from swarmd import __version__
from swarmd.config import DEFAULT_CONTROL_SOCKET
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Settings

_SHELLS: Final = ("bash", "zsh", "fish")
_NOUNS: Final = {
    "backup": "swarmd.ctl.backup",
    "ca": "swarmd.ctl.ca",
    "cluster": "swarmd.ctl.cluster",
    "config": "swarmd.ctl.secret",
    "explain": "swarmd.ctl.explain",
    "network": "swarmd.ctl.network",
    "node": "swarmd.ctl.node",
    "secret": "swarmd.ctl.secret",
    "service": "swarmd.ctl.service",
    "stack": "swarmd.ctl.stack",
    "task": "swarmd.ctl.task",
    "volume": "swarmd.ctl.volume",
}


@click.group(
    cls=AliasedGroup, late=_NOUNS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "-s",
    "--socket",
    envvar="SWARM_SOCKET",
    show_envvar=True,
    default=DEFAULT_CONTROL_SOCKET,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Unix socket of the manager's control API.",
)
@click.option("-n", "--no-resolve", is_flag=True, help="Do not try to map ids to names.")
@click.pass_context
def main(ctx: click.Context, socket: Path, no_resolve: bool) -> None:
    """Control a swarm cluster."""
    path = Path(str(socket).removeprefix("unix:"))
    ctx.obj = Settings(socket=path, no_resolve=no_resolve)


@main.command()
def version() -> None:
    """Print the version of swarmctl"""
    click.echo(f"swarmctl {__version__}")


@main.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print a shell's completion script: `eval "$(swarmctl completion bash)"`"""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion is known for {shell}")
    click.echo(kind(main, {}, "swarmctl", "_SWARMCTL_COMPLETE").source())
