"""swarmctl secret and swarmctl config: data that tasks may read, alike in all but the limits."""

import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import BY_ANNOTATIONS, filter_option, filtered
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import ago, quiet_option, show_page
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.rows import SECRET_SHOWN, SECRET_TITLES, by_name, secret_fields
from swarmd.ctl.values import PairStrings, flat, options


def _group(kind: str) -> click.Group:  # noqa: C901 - four commands, said once
    """The commands of one kind: create, ls, inspect, remove."""
    title = kind.capitalize()

    @click.group(name=kind, cls=AliasedGroup, help=f"{title} management")
    def group() -> None: ...

    @group.command(
        help=f"Create a {kind} from a file, or from standard input",
        examples=f"""
        printf "a secret" | swarmctl {kind} create my_{kind} -
        swarmctl {kind} create --label env=dev my_{kind} ./{kind}.json
        """,
    )
    @click.argument("name")
    @click.argument("source", metavar="[FILE|-]", type=click.File("rb"), required=False)
    @click.option("-f", "--file", "file", type=click.File("rb"), help="The same as FILE")
    @click.option("-l", "--label", type=PairStrings(), multiple=True, help="Labels (key=value)")
    @click.option("--template-driver", help="What fills in templates in it: golang")
    @_extra_options(kind)
    @with_control
    async def create(
        control: Control,
        *,
        name: str,
        source: BinaryIO | None,
        file: BinaryIO | None,
        label: tuple[tuple[str, ...], ...],
        template_driver: str | None,
        driver: str | None = None,
    ) -> None:
        opened = source or file or sys.stdin.buffer
        spec = getattr(api, f"{title}Spec")(data=b"" if driver else opened.read())
        spec.annotations.name = name
        spec.annotations.labels.update(options(flat(label)))
        if driver:
            spec.driver.name = driver
        if template_driver:
            spec.templating.name = template_driver
        request = getattr(api, f"Create{title}Request")(spec=spec)
        reply = await getattr(control.api, f"Create{title}")(request)
        click.echo(getattr(reply, kind).id)

    @group.command(
        help=f"List {kind}s",
        examples=f"swarmctl {kind} ls --filter label=project --format '{{{{.ID}}}}: {{{{.Name}}}}'",
    )
    @filter_option(BY_ANNOTATIONS)
    @quiet_option
    @list_format_option
    @with_control
    async def ls(control: Control, filters: tuple[str, ...], quiet: bool, form: str) -> None:
        found = filtered(await list_all(control, kind), filters, BY_ANNOTATIONS)
        found.sort(key=by_name)
        rows = [secret_fields(one) for one in found]
        show_list(form, SECRET_TITLES, rows, found=found, shown=SECRET_SHOWN, quiet=quiet)

    @group.command(
        help=f"Inspect {kind}s",
        examples=f"swarmctl {kind} inspect --format '{{{{.CreatedAt}}}}' my_{kind}",
    )
    @click.argument("names", metavar=f"{kind.upper()}...", **arguments(kind))
    @inspect_format_option
    @with_control
    async def inspect(control: Control, names: tuple[str, ...], form: str, pretty: bool) -> None:
        found = [await resolve(control, kind, name) for name in names]
        if not pretty and form != "pretty":
            show_objects(form, [docker_objects.secret(one) for one in found], found)
            return
        for one in found:
            show_page(_page(one))

    @group.command(help=f"Remove {kind}s", examples=f"swarmctl {kind} rm my_{kind}")
    @click.argument("names", metavar=f"{kind.upper()}...", **arguments(kind))
    @with_control
    async def remove(control: Control, names: tuple[str, ...]) -> None:
        for name in names:
            found = await resolve(control, kind, name)
            request = getattr(api, f"Remove{title}Request")(**{f"{kind}_id": found.id})
            await getattr(control.api, f"Remove{title}")(request)
            click.echo(found.id)

    return group


def _extra_options(kind: str) -> Callable[[Any], Any]:
    """A secret may lie elsewhere, a config may not."""

    def add(command: Any) -> Any:
        if kind == "config":
            return command
        return click.option("-d", "--driver", help="Driver that knows the secret")(command)

    return add


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
