"""join and leave: which cluster a node is of."""

import shutil
import time
from pathlib import Path
from typing import Any

import click

from swarmd.cli import supervisord as sv
from swarmd.cli.containers import end_containers
from swarmd.cli.node_report import NodeReport
from swarmd.cli.options import (
    CONFIG_OPTION,
    STATE_DIR_OPTION,
    environment,
    node_config,
    node_options,
)
from swarmd.cli.service import (
    end_supervisords,
    kept_options,
    start_node,
    stop_node,
    stop_tasks,
    timeout_option,
    wait_ready,
)
from swarmd.cli.stepping_down import step_down
from swarmd.errors import CorruptStateError, InvalidArgumentError, UnavailableError
from swarmd.quorum_file import QuorumFile
from swarmd.security import join_tokens
from swarmd.security.certificates import BadCertificateError, identity_of, parse_chain
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import digest
from swarmd.state_dir import StateDir, supervisord_socket


@click.command()
@node_options
@click.option("--force", is_flag=True, help="Leave the cluster that this node is of now.")
@timeout_option(90, "the node is ready")
@click.pass_context
def join(ctx: click.Context, /, force: bool, timeout: float, **values: Any) -> None:
    """Have this node join a cluster, and wait until it is ready there.

    It goes on under supervisord, with the options of its last start and those given here.
    """
    config = node_config(values)
    state_dir = StateDir(config.state_dir)
    if not config.join_addr:
        raise click.UsageError("--join-addr and --join-token (or --join-token-file) are needed.")
    try:
        token = join_tokens.parse(config.join_token)
    except InvalidArgumentError as error:
        raise click.UsageError("the join token is malformed.") from error
    if not force:
        _refuse_same_cluster(state_dir, token.root_digest)
    _refuse_foreground(state_dir)
    deadline = time.monotonic() + timeout
    try:
        _leave_first(state_dir, deadline, force=force)
        options = kept_options(config, {**sv.options_before(state_dir), **environment(ctx)})
        supervisord = sv.Supervisord(supervisord_socket(state_dir.root))
        start_node(supervisord, state_dir, options)
    except (UnavailableError, OSError) as error:
        raise click.ClickException(str(error)) from error
    wait_ready(supervisord, state_dir, max(deadline - time.monotonic(), 1.0))


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@click.option(
    "--force", "-f", is_flag=True, help="Also when that ends the cluster, or leaves containers."
)
@timeout_option(60, "the node has stopped")
def leave(config: Path | None, state_dir: Path, force: bool, timeout: float) -> None:  # noqa: ARG001
    """Leave the cluster: stop this node and its tasks, and forget what it was.

    The next start makes a cluster of its own, or joins one.
    """
    place = StateDir(state_dir)
    member = membership(place)
    if member is None and not place.kept():
        raise click.ClickException("this node is of no cluster")
    deadline = time.monotonic() + timeout
    try:
        member = _as_worker(place, member, deadline, force=force)
        _leave(place, member, deadline, force=force)
    except (UnavailableError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if member is None:
        click.echo("this node joins no cluster any more")
        return
    click.echo(f"node {member.node_id} left cluster {member.cluster_id}")
    if member.role != MANAGER:
        click.echo(f"its managers list it as Down until `swarmctl node remove {member.node_id}`")


def _as_worker(
    place: StateDir, member: Identity | None, deadline: float, *, force: bool
) -> Identity | None:
    """Who leaves: one of several managers as a worker, which nobody's quorum needs."""
    if member is None or member.role != MANAGER or not _others(place):
        return member
    try:
        step_down(place, member.node_id, deadline)
    except UnavailableError as error:
        if not force:
            raise UnavailableError(f"{error}. Give --force to leave all the same") from error
        click.echo(
            f"Warning: {error}. Have another manager forget this one: `swarmctl node demote"
            f" {member.node_id}`, then `swarmctl node remove`",
            err=True,
        )
        return member
    return membership(place)


def _others(place: StateDir) -> bool:
    """Whether other managers keep the store together with this one."""
    try:
        quorum = QuorumFile.load(place.quorum)
    except CorruptStateError:
        return True
    return quorum is not None and len(quorum.members) > 1


def membership(place: StateDir) -> Identity | None:
    """Who this node is, by its certificate; None where it has none that can be read."""
    try:
        return identity_of(parse_chain(place.node_certificate.read_bytes())[0])
    except (FileNotFoundError, NotADirectoryError, BadCertificateError):
        return None


def _refuse_same_cluster(place: StateDir, digest_of_root: str) -> None:
    """A node changes its role where it is, whichever token it is given."""
    member = membership(place)
    if member is None or not place.root_ca.exists():
        return
    if digest(place.root_ca.read_bytes()) != digest_of_root:
        return
    manager = member.role == MANAGER
    change = "demote" if manager else "promote"
    raise click.ClickException(
        f"this node is a {'manager' if manager else 'worker'} of that cluster already: `swarmctl"
        f" node {change} {member.node_id}` on a manager changes that; to join it anew, `swarmd"
        " leave` first, or give --force"
    )


def _refuse_foreground(place: StateDir) -> None:
    supervisord = sv.Supervisord(supervisord_socket(place.root))
    report = NodeReport.read(place)
    if report.pid and not (supervisord.answers() and supervisord.program()):
        raise click.ClickException(
            f"swarmd runs in the foreground (pid {report.pid}): stop it, `swarmd leave`, and run it"
            " again with --join-addr and --join-token"
        )


def _leave_first(place: StateDir, deadline: float, *, force: bool) -> None:
    """Be of no cluster, with no node at work; a cluster is left only with `force`."""
    member = membership(place)
    if member is None:
        stop_node(place, deadline)
        return
    if not force:
        role = "the manager" if member.role == MANAGER else "a worker"
        raise click.ClickException(
            f"this node is {role} of cluster {member.cluster_id}: `swarmd leave` first, or give"
            " --force"
        )
    _leave(place, member, deadline, force=True)


def _leave(place: StateDir, member: Identity | None, deadline: float, *, force: bool) -> None:
    if not force and (place.store.exists() or (member and member.role == MANAGER)):
        raise click.ClickException(
            "this node is its cluster's manager: without it the cluster is lost, with all its"
            " services and secrets. Give --force if that is meant"
        )
    stop_node(place, deadline)
    _end_containers(place, deadline, force=force)
    stop_tasks(place, deadline)
    end_supervisords(place, deadline)
    for path in place.kept():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    place.node_report.unlink(missing_ok=True)


def _end_containers(place: StateDir, deadline: float, *, force: bool) -> None:
    try:
        end_containers(place, "remove", deadline)
    except UnavailableError as error:
        if not force:
            raise UnavailableError(f"{error}. Try again, or give --force to leave them") from error
        click.echo(f"Warning: {error}", err=True)
