from swarmd import api
from swarmd.api import defaults, times

Condition = api.RestartPolicy.RestartCondition


def test_only_a_wholly_absent_restart_policy_restarts_on_any_end():
    assert Condition.ANY == defaults.restart_condition(api.TaskSpec())
    assert Condition.NONE == defaults.restart_condition(api.TaskSpec(restart={}))


def test_a_restart_waits_five_seconds_unless_the_spec_says_so():
    told = api.TaskSpec(restart={"delay": times.duration(0)})
    assert 5 == defaults.restart_delay(api.TaskSpec())
    assert 5 == defaults.restart_delay(api.TaskSpec(restart={}))
    assert 0 == defaults.restart_delay(told)


def test_a_monitor_of_zero_is_not_an_unset_one():
    assert 5 == defaults.monitor(api.UpdateConfig())
    assert 0 == defaults.monitor(api.UpdateConfig(monitor=times.duration(0)))


def test_interpolation_says_what_was_unsaid_and_keeps_what_was_said():
    spec = api.ServiceSpec(
        task={"container": {"image": "host"}, "restart": {"max_attempts": 3}},
        update={"parallelism": 0},
    )
    before = spec.SerializeToString()
    full = defaults.interpolate(spec)
    assert before == spec.SerializeToString()
    assert 10 == times.seconds(full.task.container.stop_grace_period)
    assert full.task.container.HasField("dns_config")
    assert Condition.NONE == full.task.restart.condition
    assert 3 == full.task.restart.max_attempts
    assert 5 == times.seconds(full.task.restart.delay)
    assert 0 == full.update.parallelism
    assert 5 == times.seconds(full.update.monitor)
    assert defaults.update_config() == full.rollback
    assert full.task.HasField("resources")
    assert full.task.HasField("placement")


def test_a_task_without_a_container_gets_none():
    full = defaults.interpolate(api.ServiceSpec(task={"generic": {"kind": "thing"}}))
    assert "generic" == full.task.WhichOneof("runtime")
