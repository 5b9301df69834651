"""swarmctl secret and swarmctl config: data that tasks may read, alike in all but the limits."""

from typing import Any, BinaryIO

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.output import ago, format_option, quiet_option, show_json, show_page, show_table
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.values import Strings, flat, pairs


def _group(kind: str) -> click.Group:  # noqa: C901 - four commands, said once
    """The commands of one kind: create, ls, inspect, remove."""
    title = kind.capitalize()

    @click.group(name=kind, cls=AliasedGroup, help=f"{title} management")
    def group() -> None: ...

    @group.command(help=f"Create a {kind} from a file, or from standard input")
    @click.argument("name")
    @click.option(
        "-f", "--file", "source", type=click.File("rb"), default="-", help="Default: stdin"
    )
    @click.option("--label", type=Strings(), multiple=True, help="Labels (key=value)")
    @(_driver_option if kind == "secret" else lambda command: command)
    @with_control
    async def create(
        control: Control,
        name: str,
        source: BinaryIO,
        label: tuple[tuple[str, ...], ...],
        driver: str | None = None,
    ) -> None:
        spec = getattr(api, f"{title}Spec")(data=b"" if driver else source.read())
        spec.annotations.name = name
        spec.annotations.labels.update(pairs(flat(label), "--label"))
        if driver:
            spec.driver.name = driver
        request = getattr(api, f"Create{title}Request")(spec=spec)
        reply = await getattr(control.api, f"Create{title}")(request)
        click.echo(getattr(reply, kind).id)

    @group.command(help=f"List {kind}s")
    @quiet_option
    @format_option
    @with_control
    async def ls(control: Control, quiet: bool, form: str) -> None:
        found = await list_all(control, kind)
        if quiet:
            click.echo("\n".join(one.id for one in found))
        elif form == "json":
            show_json(found)
        else:
            rows = [(one.id, one.spec.annotations.name, ago(one.meta.created_at)) for one in found]
            show_table(("ID", "Name", "Created"), rows)

    @group.command(help=f"Inspect a {kind}")
    @click.argument("name")
    @format_option
    @with_control
    async def inspect(control: Control, name: str, form: str) -> None:
        found = await resolve(control, kind, name)
        if form == "json":
            show_json(found)
        else:
            show_page(_page(found))

    @group.command(help=f"Remove {kind}s")
    @click.argument("names", nargs=-1, required=True)
    @with_control
    async def remove(control: Control, names: tuple[str, ...]) -> None:
        for name in names:
            found = await resolve(control, kind, name)
            request = getattr(api, f"Remove{title}Request")(**{f"{kind}_id": found.id})
            await getattr(control.api, f"Remove{title}")(request)
            click.echo(found.id)

    return group


def _driver_option(command: Any) -> Any:
    return click.option("-d", "--driver", help="Driver that knows the secret")(command)


def _page(one: Any) -> dict[str, Any]:
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Labels": dict(sorted(one.spec.annotations.labels.items())),
        "Created": ago(one.meta.created_at),
        "Driver": one.spec.driver.name if isinstance(one, api.Secret) else "",
    }


secret = _group("secret")
config = _group("config")
