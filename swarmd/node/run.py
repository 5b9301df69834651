"""run_node: be a node until a signal ends it; what `swarmd run` does."""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from swarmd import logs
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, ExitStatus, SwarmError
from swarmd.node.node import Means, Node
from swarmd.node.notify import notify
from swarmd.node.signals import Wish, Wishes, listen_for_signals, watch_supervisord

log = logs.get_logger(__name__)
PATIENCE_SECONDS: Final = 60.0  # below the TimeoutStartSec of deploy/swarmd.service


async def run_node(
    config: NodeConfig,
    reload: Callable[[], NodeConfig] | None = None,
    means: Means | None = None,
) -> int:
    """Run a node until it is stopped or fails; the exit status for the process.

    Logs `node is ready` when it is, and as the last line why it ended, after an error. `reload`
    gives the options anew, on SIGHUP; the log level is the one that can change while it runs.
    """
    logs.set_up("swarmd", config.log_level, config.log_format)
    node, wishes = Node(config, means), Wishes()
    with listen_for_signals(wishes):
        await node.start()
        helpers = [
            asyncio.create_task(_fulfil(wishes, node, reload or (lambda: config))),
            asyncio.create_task(watch_supervisord(wishes, os.environ)),
            asyncio.create_task(_notify_ready(node)),
            asyncio.create_task(_notify_stopping(node)),
        ]
        try:
            error = await node.err()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)
    return _exit_status(error)


async def _fulfil(wishes: Wishes, node: Node, reload: Callable[[], NodeConfig]) -> None:
    while True:
        match await wishes.next():
            case Wish.STOP:
                log.info("stopping the node")
                node.ask_to_stop()
            case Wish.KILL:
                node.kill()
                # A process can be out of reach even of SIGKILL, in a call to a dead disk, say.
                asyncio.get_running_loop().call_later(1.0, os._exit, ExitStatus.FAILED)
            case Wish.RELOAD:
                _reload(node, reload)


def _reload(node: Node, reload: Callable[[], NodeConfig]) -> None:
    notify(RELOADING="1")
    try:
        config = reload()
        logs.set_up("swarmd", config.log_level, config.log_format)
    except Exception:  # whatever is wrong with a file that people edit, the node goes on
        log.exception("cannot reload: everything stays as it was")
    else:
        node.set_log_level(config.log_level)
        log.info("reloaded", extra=logs.fields(log_level=config.log_level))
    notify(READY="1")


async def _notify_ready(node: Node) -> None:
    """systemd ends, tasks and all, what is not ready in time: a node that waits is started, too.

    It may wait for its unlock key, or for a manager that is down.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await node.ready.wait()
    except TimeoutError:
        notify(READY="1", STATUS="not ready yet: `swarmd status` says why")
        await node.ready.wait()
    notify(READY="1", STATUS="ready")


async def _notify_stopping(node: Node) -> None:
    await node.stopped.wait()
    notify(STOPPING="1", STATUS="stopping")


def _exit_status(error: SwarmError | None) -> ExitStatus:
    if error is None:
        log.info("node is stopped")
        return ExitStatus.CLEAN
    log.error("node ended", extra=logs.fields(reason=error))
    return ExitStatus.CANNOT_BOOT if isinstance(error, CannotBootError) else ExitStatus.FAILED
