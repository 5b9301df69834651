"""What Go's programs take and click does not: aliases of commands, `--flag=true`, and hints."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Final

import click

_ALIASES: Final = {"rm": "remove", "svc": "service", "list": "ls", "log": "logs"}
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


class SwarmCommand(click.Command):
    """A command whose switches may be given as `--detach=false`; examples end its help."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click's own, after the switches' values are read."""
        end = args.index("--") if "--" in args else len(args)
        read = [word for arg in args[:end] for word in self._read(arg)]
        return super().parse_args(ctx, read + args[end:])

    def _read(self, arg: str) -> list[str]:
        name, separator, value = arg.partition("=")
        if not separator or not name.startswith("-"):
            return [arg]
        switch = next((p for p in self.params if name in p.opts), None)
        if not isinstance(switch, click.Option) or not switch.is_flag:
            return [arg]
        if value.lower() in _TRUE:
            return [name]
        if value.lower() in _FALSE:
            return switch.secondary_opts[:1]
        raise click.BadParameter(f"{value!r} is neither true nor false", param_hint=name)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, as they are."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"  {line.strip()}\n")


class AliasedGroup(click.Group):
    """A group that finds its commands by an alias too, and names the one that was meant.

    `late` is its commands that are imported when they are asked for, each with its module: what
    one of them needs would have every other start half as fast.
    """

    command_class = SwarmCommand

    def __init__(self, *args: Any, late: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late = late or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, imported or not."""
        return sorted({*super().list_commands(ctx), *self._late})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """click's own look-up, then the alias's."""
        return self._found(ctx, cmd_name) or self._found(ctx, _ALIASES.get(cmd_name, cmd_name))

    def _found(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self._late and name not in self.commands:
            self.add_command(getattr(importlib.import_module(self._late[name]), name))
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's own; raises UsageError with the command that was meant."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)
