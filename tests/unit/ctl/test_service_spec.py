"""Flags into a spec: what is named changes, and nothing else."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from swarmd import api
from swarmd.ctl.service_flags import create_options, update_options
from swarmd.ctl.service_spec import merge, new_spec

Restart = api.RestartPolicy.RestartCondition
made: list[api.ServiceSpec] = []


@click.command()
@create_options
def create(**flags: Any) -> None:
    made.append(new_spec(flags))


def created(*arguments: str) -> api.ServiceSpec:
    result = CliRunner().invoke(create, ["--name", "web", "--image", "host", *arguments])
    assert 0 == result.exit_code, result.output
    return made.pop()


def updated(spec: api.ServiceSpec, *arguments: str) -> api.ServiceSpec:
    @click.command()
    @update_options
    def update(**flags: Any) -> None:
        merge(spec, flags)

    result = CliRunner().invoke(update, list(arguments))
    assert 0 == result.exit_code, result.output
    return spec


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(create, list(arguments))
    assert 2 == result.exit_code
    return result.output


def test_a_new_service_has_one_replica_and_restarts_always():
    spec = created()
    assert ("web", "host", 1) == (
        spec.annotations.name,
        spec.task.container.image,
        spec.replicated.replicas,
    )
    assert Restart.ANY == spec.task.restart.condition
    assert not spec.HasField("update")
    assert not spec.HasField("endpoint")
    assert not spec.task.HasField("resources")


def test_a_global_service_has_no_replicas():
    assert "global" == created("--mode", "global").WhichOneof("mode")
    named = ("--name", "web", "--image", "host", "--mode", "global")
    assert "--replicas can only be given for a replicated" in refused(*named, "--replicas", "2")


def test_a_name_and_an_image_are_mandatory():
    assert "--name and --image are mandatory" in refused("--name", "web")


def test_the_process_is_as_told():
    container = created(
        *("--command", "/bin/sh", "--args", "-c,echo hi", "--env", "A=1,B=2", "--dir", "/srv"),
        *("--user", "www:www", "--stop-signal", "SIGINT", "--stop-grace-period", "3s"),
        *("--pids-limit", "20", "--ulimit", "nofile=100:200", "--oom-score-adj", "5"),
    ).task.container
    assert (["/bin/sh"], ["-c", "echo hi"]) == (list(container.command), list(container.args))
    assert ["A=1", "B=2"] == list(container.env)
    assert ("/srv", "www:www", "SIGINT") == (container.dir, container.user, container.stop_signal)
    assert (3, 20, 5) == (
        container.stop_grace_period.seconds,
        container.pidsLimit,
        container.oom_score_adj,
    )
    assert api.ContainerSpec.Ulimit(name="nofile", soft=100, hard=200) == container.ulimits[0]


def test_resources_are_reserved_and_limited():
    resources = created(
        *("--memory-reservation", "64m", "--memory-limit", "128m"),
        *("--cpu-reservation", "0.25", "--cpu-limit", "1", "--generic-resources", "gpu=2"),
    ).task.resources
    assert (64 << 20, 250_000_000) == (
        resources.reservations.memory_bytes,
        resources.reservations.nano_cpus,
    )
    assert (128 << 20, 10**9) == (resources.limits.memory_bytes, resources.limits.nano_cpus)
    assert 2 == resources.reservations.generic[0].discrete_resource_spec.value


def test_ports_are_published_on_the_node():
    port = created("--ports", "web:80/udp:8080/udp").endpoint.ports[0]
    expected = api.PortConfig(
        name="web",
        protocol=api.PortConfig.Protocol.UDP,
        target_port=80,
        published_port=8080,
        publish_mode=api.PortConfig.PublishMode.HOST,
    )
    assert expected == port


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--ports", "80"), "is not name:port"),
        (("--ports", "a:80/tcp:80/udp"), "names two protocols"),
        (("--ports", "a:80/quic"), "'quic' is not tcp"),
        (("--ulimit", "nofile"), "is not name=soft"),
        (("--label", "=a"), "is not KEY or KEY=VALUE"),
        (("--bind", "/a"), "is not source:target"),
        (("--tmpfs", "tmp"), "does not start with an absolute path"),
        (("--tmpfs", "/tmp:colour=red"), "is no option of a tmpfs"),
        (("--memory-limit", "lots"), "is not a size"),
        (("--placement-pref", "pack=node.id"), "only spread is"),
        (("--generic-resources", "gpu"), "missing '='"),
        (("--restart-condition", "often"), "'often' is not one of"),
    ],
)
def test_a_flag_that_means_nothing_is_refused_with_a_sentence(flags: tuple[str, ...], words: str):
    assert words in refused("--name", "web", "--image", "host", *flags)


def test_an_update_changes_only_what_is_named():
    spec = created("--env", "A=1", "--replicas", "3", "--constraint", "node.role==worker")
    before = api.ServiceSpec()
    before.CopyFrom(spec)
    after = updated(spec, "--image", "host:2")
    before.task.container.image = "host:2"
    assert before == after


def test_force_counts_up():
    assert 1 == updated(created(), "--force").task.force_update


def test_update_settings_appear_only_when_named():
    update = created("--update-parallelism", "0", "--update-on-failure", "rollback").update
    assert (0, api.UpdateConfig.FailureAction.ROLLBACK) == (
        update.parallelism,
        update.failure_action,
    )
    order = created("--rollback-order", "start-first").rollback.order
    assert api.UpdateConfig.UpdateOrder.START_FIRST == order


def test_one_task_after_another_is_changed_unless_more_are_asked_for():
    spec = created("--update-delay", "10s", "--rollback-order", "start-first")
    assert (1, 1) == (spec.update.parallelism, spec.rollback.parallelism)
    all_at_once = updated(spec, "--update-parallelism", "0")
    assert 0 == updated(all_at_once, "--update-delay", "1s").update.parallelism


def test_a_capability_is_either_added_or_dropped():
    spec = updated(created(), "--add-capability", "NET_ADMIN")
    container = updated(spec, "--rm-capability", "NET_ADMIN").task.container
    assert ([], ["NET_ADMIN"]) == (list(container.capability_add), list(container.capability_drop))


def test_an_updates_log_driver_stays_when_it_is_not_named():
    spec = created("--log-driver", "journald", "--log-opt", "tag=x")
    after = updated(spec, "--replicas", "2")
    assert ("journald", {"tag": "x"}) == (
        after.task.log_driver.name,
        dict(after.task.log_driver.options),
    )


def test_a_health_check_is_a_shells():
    check = created("--health-cmd", "true", "--health-interval", "1s", "--health-retries", "2")
    healthcheck = check.task.container.healthcheck
    assert ["CMD-SHELL", "true"] == list(healthcheck.test)
    assert (1, 2) == (healthcheck.interval.seconds, healthcheck.retries)
    assert ["NONE"] == list(created("--no-healthcheck").task.container.healthcheck.test)


def test_tmpfs_options_are_kept_together():
    mount = created("--tmpfs", "/tmp:size=64m,mode=1777,ro").task.container.mounts[0]
    assert (64 << 20, 0o1777, True) == (
        mount.tmpfs_options.size_bytes,
        mount.tmpfs_options.mode,
        mount.readonly,
    )
