"""python -m workers.manager: compose, report ready, run."""

from random import SystemRandom

from swarmd.clock import SystemClock
from swarmd.ipc.messages import MANAGER, NodeChanged, Ready
from swarmd.ipc.parent_link import ParentLink
from swarmd.state_dir import StateDir
from swarmd.store import Store
from workers.manager.bootstrap import bootstrap, refuse_raft_log
from workers.manager.locked import wait_unlocked
from workers.manager.manager import Manager
from workers.manager.sealed_store import open_backend
from workers.program import run_worker


async def main(link: ParentLink) -> None:
    """Open the store, be somebody, serve; cancelled for a stop."""
    clock, random = SystemClock(), SystemRandom()
    state_dir = StateDir(link.config.state_dir)
    refuse_raft_log(state_dir)
    await wait_unlocked(link, clock, random)
    backend = await open_backend(state_dir)
    async with Store(backend, clock) as store:
        identity = await bootstrap(store, state_dir, link.config, clock, random)

        def serving(address: str) -> None:
            link.report(NodeChanged(identity.node_id, identity.cluster_id, MANAGER, address))
            link.report(Ready())

        manager = Manager(
            config=link.config,
            store=store,
            lease=backend.lease,
            identity=identity,
            reseal=backend.reseal,
            report=link.report,
            clock=clock,
            random=random,
        )
        await manager.run(serving)


if __name__ == "__main__":
    run_worker("manager", main)
