from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster


async def test_a_new_service_gets_a_task_in_each_slot():
    async with Cluster() as cluster:
        await cluster.lead()
        web = builders.service("web", replicas=3)
        await cluster.create(web)
        await cluster.settle()
        assert [1, 2, 3] == [task.slot for task in cluster.running(web)]
        assert not cluster.get(web).HasField("update_status")
