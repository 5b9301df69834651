"""The Go program's aliases of commands."""

from typing import Final

import click

_ALIASES: Final = {"rm": "remove", "svc": "service", "list": "ls", "log": "logs"}


class AliasedGroup(click.Group):
    """A click group that finds its commands by an alias too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """click's own look-up, then the alias's."""
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))
