"""After --force-new-cluster: what this manager, which is alone now, makes of the others."""

from typing import Final

from swarmd import api
from swarmd.api import nodes
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import FORCED
from swarmd.store import Store, WriteTx, by
from workers.manager.quorum.addresses import AddressBook

log = get_logger(__name__)
_MANAGER: Final = api.NodeRole.MANAGER


class Forced:
    """The leader's component; ends at once where nothing was forced.

    The other managers' nodes are workers from now on. One of them that comes back hears of it when
    it asks how it stands, becomes a worker, and can be promoted again.
    """

    def __init__(self, store: Store, book: AddressBook, own_id: str) -> None:
        self._store = store
        self._book = book
        self._own_id = own_id

    async def run(self) -> None:
        await self._book.reload()
        if self._book.file is None or self._book.file.start != FORCED:
            return
        names = await self._store.update(self._demote_others)
        log.warning(
            "this manager is the only one of its cluster now: the others' nodes are workers, to be "
            "promoted again once they are back, or to be removed",
            extra=fields(others=", ".join(names)),
        )
        await self._book.whole()

    def _demote_others(self, tx: WriteTx) -> list[str]:
        """Their names; who was itself about to be demoted has nobody to leave the cluster to."""
        own = tx.nodes.copy(self._own_id)
        if own.role != _MANAGER or own.spec.desired_role != _MANAGER:
            own.role = own.spec.desired_role = _MANAGER
            tx.nodes.update(own)
        others = [one.id for one in tx.nodes.find(by.role(_MANAGER)) if one.id != self._own_id]
        named = []
        for node_id in others:
            node = tx.nodes.copy(node_id)
            node.spec.desired_role = api.NodeRole.WORKER
            nodes.set_role(node, api.NodeRole.WORKER)
            tx.nodes.update(node)
            named.append(node.description.hostname or node_id)
        return named
