"""Dials managers with this node's certificates: those on disk, and each new set after it."""

import asyncio
from contextlib import AbstractAsyncContextManager

from grpc import aio

from swarmd.clock import Clock
from swarmd.errors import CorruptStateError, UnauthenticatedError
from swarmd.logs import fields, get_logger
from swarmd.rpc.channel import dial_manager
from swarmd.rpc.tunnel import Tunnels
from swarmd.security.certificates import NodeCertificates
from swarmd.security.tls import manager_context
from swarmd.state_dir import StateDir

log = get_logger(__name__)


class Dialer:
    """One for the whole agent. A channel keeps what it was dialled with; the next gets the new."""

    def __init__(self, state_dir: StateDir, clock: Clock) -> None:
        """Raises CorruptStateError where the files are not sound."""
        self._clock = clock
        self._state_dir = state_dir
        self._tunnels = Tunnels()
        self.certificates = NodeCertificates.load(state_dir)

    @property
    def expired(self) -> bool:
        return self.certificates.expired(self._clock.now())

    def dial(self, address: str) -> AbstractAsyncContextManager[aio.Channel]:
        """A channel to a manager; raises UnauthenticatedError when the certificate ran out."""
        if self.expired:
            end = f"{self.certificates.not_after:%Y-%m-%d %H:%M} UTC"
            raise UnauthenticatedError(
                f"this node's certificate ran out on {end}: start it with --join-addr and a valid"
                " --join-token, and it gets back in"
            )
        certificates = self.certificates
        return self._tunnels.channel(
            address,
            lambda: dial_manager(address, certificates),
            lambda: manager_context(certificates.root_pem, certificates),
        )

    async def save(self, certificates: NodeCertificates) -> None:
        """Put these on disk and use them; raises OSError."""
        await asyncio.to_thread(certificates.save, self._state_dir)
        self.certificates = certificates

    async def reload(self) -> None:
        """Use the new files; a pair that does not fit is passed over, as one is half written."""
        try:
            self.certificates = await asyncio.to_thread(NodeCertificates.load, self._state_dir)
        except CorruptStateError as error:
            log.warning("keeping the earlier certificates", extra=fields(reason=error))
