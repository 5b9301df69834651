"""Who of the managers is away: what a call is told while there is no quorum."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

from swarmd.clock import Clock
from swarmd.security.certificates import NodeCertificates
from workers.manager.quorum.addresses import AddressBook, meet

_FRESH_SECONDS: Final = 2.0


class Absent:
    """Asks the other managers whether they are there, as often as there is need to know."""

    def __init__(
        self, book: AddressBook, certificates: Callable[[], NodeCertificates], clock: Clock
    ) -> None:
        self._book = book
        self._certificates = certificates
        self._clock = clock
        self._away: Collection[str] | None = None
        self._looked = -_FRESH_SECONDS
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Keep `sentence` true, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(_FRESH_SECONDS)

    async def look(self) -> None:
        """Ask all of them, unless that was just done."""
        async with self._looking:
            if self._clock.monotonic() - self._looked < _FRESH_SECONDS:
                return
            certificates = await asyncio.to_thread(self._certificates)
            own_id, members = certificates.identity.node_id, dict(self._book.members)
            own = members.pop(own_id, "")
            answers = await asyncio.gather(
                *(meet(address, own, certificates) for address in members.values())
            )
            self._away = {name for name, told in zip(members, answers, strict=True) if told is None}
            self._looked = self._clock.monotonic()

    def sentence(self, called: Callable[[str], str] = str) -> str:
        """Why nothing can be done now, and what to do; `called` gives a node's name by its id."""
        if self._away is None:
            return "this manager has just begun to look for the others: try again"
        return no_quorum(self._book.members, self._away, called)


def no_quorum(
    members: Mapping[str, str], away: Collection[str], called: Callable[[str], str] = str
) -> str:
    """The sentence, with the members' addresses by node id (pure)."""
    if not members:
        return "this manager is still joining the others: try again"
    lost = [name for name in members if name in away]
    named = ", ".join(f"{called(name)} at {members[name] or '?'}" for name in lost)
    needed = len(members) // 2 + 1
    if len(members) - len(lost) >= needed:
        missing = f" ({named} cannot be reached)" if lost else ""
        return f"no manager leads now{missing}, though there are enough for a quorum: try again"
    return (
        f"there is no quorum: {len(lost)} of the {len(members)} managers cannot be reached"
        f" ({named}), and {needed} have to run and reach each other. Start those that are down, and"
        " unlock those that are locked; if they are lost for good: `swarmd stop`, and then `swarmd"
        " start --force-new-cluster`, on one that is left"
    )
