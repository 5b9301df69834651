"""A manager whose key file is sealed: it waits for the unlock key, and takes no other call.

The key comes by the control socket, from `swarmd unlock`: who may open that file may do everything
anyway, the caller hears at once whether the key is right, and it lies on no disk on its way. The
socket shows a certificate made for the occasion, since the node's own cannot be used yet; nobody
verifies it. The remote port stays closed.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from swarmd.api.protos.autolock_pb2 import UnlockRequest, UnlockResponse
from swarmd.api.protos.autolock_pb2_grpc import AutolockServicer
from swarmd.clock import Clock
from swarmd.errors import FailedPreconditionError, PermissionDeniedError
from swarmd.ipc.messages import Locked, UnlockKey
from swarmd.ipc.parent_link import ParentLink
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.server import make_server
from swarmd.security import key_file, unlock_key
from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.key_file import LockedError
from swarmd.security.root_ca import LEAST_EXPIRY_SECONDS, RootCA
from swarmd.state_dir import StateDir

log = get_logger(__name__)

_NOBODY = Identity("locked", MANAGER, "locked")
_CLOSED = "this manager is locked: unlock it with `swarmd unlock`"


class Unlocking(AutolockServicer):
    """Takes the unlock key, and says when the right one came."""

    def __init__(self, path: Path) -> None:
        self.unlocked = asyncio.Event()
        self._path = path

    async def Unlock(self, request: UnlockRequest, context: Any) -> UnlockResponse:
        """Open the key file; raises PermissionDeniedError for a wrong key."""
        key = unlock_key.parse(request.unlock_key)
        try:
            await asyncio.to_thread(key_file.unlock, self._path, key)
        except LockedError as error:
            log.warning("a wrong unlock key was given")
            raise PermissionDeniedError("wrong unlock key") from error
        self.unlocked.set()
        return UnlockResponse()


class NotLocked(AutolockServicer):
    """The same service once nothing is locked (any more)."""

    async def Unlock(self, request: UnlockRequest, context: Any) -> UnlockResponse:
        raise FailedPreconditionError("this manager is not locked")


async def wait_unlocked(link: ParentLink, clock: Clock, random: Random) -> None:
    """Return once the key file can be read: at once where it is not sealed, or its key is known."""
    path = StateDir(link.config.state_dir).node_key
    if not await asyncio.to_thread(key_file.is_sealed, path):
        return
    try:
        await asyncio.to_thread(key_file.read, path)
    except LockedError as error:
        log.warning("this manager is locked", extra=fields(reason=error))
        link.report(Locked(f"LOCKED: {error}"))
        await _serve_until_unlocked(link, path, clock, random)
        log.info("this manager is unlocked")
        link.report(UnlockKey(unlock_key.show(unlock_key.remembered(path))))


async def _serve_until_unlocked(link: ParentLink, path: Path, clock: Clock, random: Random) -> None:
    unlocking = Unlocking(path)
    server = make_server(
        [unlocking],
        Authorizer(_NOBODY),
        certificates=await asyncio.to_thread(_throwaway, clock.now()),
        directory=StateDir(link.config.state_dir).root / "run",
        clock=clock,
        random=random,
        closed=lambda: FailedPreconditionError(_CLOSED),
    )
    server.listen_control(link.config.listen_control_api)
    serving = asyncio.create_task(server.run())
    waiting = asyncio.create_task(unlocking.unlocked.wait())
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
    finally:
        waiting.cancel()
        serving.cancel()
        await asyncio.wait([serving, waiting])


def _throwaway(now: float) -> NodeCertificates:
    root, (request, key) = RootCA.create(now), new_request()
    chain = root.signer().sign(request, _NOBODY, LEAST_EXPIRY_SECONDS, now)
    return NodeCertificates.of(root.certificate_pem, chain, key)
