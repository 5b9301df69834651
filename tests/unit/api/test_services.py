from swarmd import api
from swarmd.api import services
from tests import builders

State = api.UpdateStatus.UpdateState


def test_a_service_that_is_gone_is_of_no_kind():
    assert "" == services.mode(None)
    assert not services.is_replicated(None)
    assert not services.is_global(None)
    assert not services.is_job(None)


def test_each_mode_is_known_by_its_name():
    job = api.Service(spec={"replicated_job": {}})
    global_job = api.Service(spec={"global_job": {}})
    assert services.is_replicated(builders.service(replicas=0))
    assert services.is_global(builders.service(replicas=None))
    assert services.is_replicated_job(job)
    assert services.is_job(job)
    assert not services.is_per_node(job)
    assert services.is_global_job(global_job)
    assert services.is_per_node(global_job)


def test_a_paused_update_is_not_under_way():
    paused = builders.service(update_status={"state": State.PAUSED})
    going = builders.service(update_status={"state": State.ROLLBACK_STARTED})
    assert services.update_paused(paused)
    assert not services.update_under_way(paused)
    assert services.update_under_way(going)
    assert services.rolling_back(going)
    assert not services.update_under_way(builders.service())


def test_asking_leaves_the_message_as_it_was():
    service = builders.service()
    before = service.SerializeToString()
    assert 0 == services.job_iteration(service)
    assert not services.update_paused(service)
    assert before == service.SerializeToString()
