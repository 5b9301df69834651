"""Which services answer calls; those that lead run too, while this manager leads."""

from collections.abc import Sequence
from functools import partial
from random import Random

from swarmd.clock import Clock
from swarmd.store import Store
from workers.manager.attachments import Attachments
from workers.manager.backup_api import BackupApi
from workers.manager.ca.external import Own, answering, cross_sign, external_ca
from workers.manager.ca.server import CAServer
from workers.manager.ca.signer import Signer
from workers.manager.components import Component
from workers.manager.control.pages import PagesServicer
from workers.manager.control.server import ControlServicer
from workers.manager.dispatcher.server import Dispatcher
from workers.manager.journal.server import JournalApi
from workers.manager.locked import NotLocked
from workers.manager.log_broker.server import LogBroker
from workers.manager.manager_status import ManagerStatus
from workers.manager.orchestrators.dirty import is_dirty
from workers.manager.orchestrators.restart_api import GovernorApi
from workers.manager.scheduler.explain_api import ExplainApi
from workers.manager.watch_api import WatchServicer


class Services:
    """One of each; the two listeners differ in who may call, not in what there is to call."""

    def __init__(self, store: Store, clock: Clock, random: Random, node_id: str, own: Own) -> None:
        self.signer = signer = Signer(store, clock, random, partial(external_ca, own=own))
        self.dispatcher = Dispatcher(store, clock, random, node_id)
        self.status = ManagerStatus(store, node_id, own, clock)
        probe = partial(answering, own=own)
        control = ControlServicer(
            store,
            clock,
            random,
            self.status,
            is_dirty,
            probe=probe,
            cross_sign=partial(cross_sign, own=own),
        )
        self.all: Sequence[object] = (
            control,
            PagesServicer(control),
            WatchServicer(store),
            CAServer(store, signer, random, self.status.refusal),
            self.dispatcher,
            NotLocked(),
            LogBroker(store, clock, random),
            Attachments(store, clock, random),
            BackupApi(store, clock),
            GovernorApi(store, clock),
            JournalApi(store),
            ExplainApi(store),
        )
        self.leading: Sequence[Component] = (self.status, signer, self.dispatcher)
