"""What a spec asks, as the process in the container sees it."""

from pathlib import Path

import pytest

from swarmd import api
from swarmd.api import resources
from tests import builders
from tests.docker_engine import DockerEngine, config_file, having, network, secret_file
from workers.agent.executors import Dependencies, MountedVolume
from workers.agent.executors.errors import ExecutorError, RejectedError

pytestmark = pytest.mark.timeout(90)

_Mount = api.Mount
HOST_MODE = api.PortConfig.PublishMode.HOST


async def test_command_and_args_are_one_line(engine: DockerEngine) -> None:
    assert "a b\n" == await engine.output_of("echo", args=["a", "b"])


async def test_environment_is_filled_in(engine: DockerEngine) -> None:
    said = await engine.output_of("sh", "-c", "echo $A $B", env=["A=1", "B={{.Service.Name}}"])
    assert "1 web\n" == said


async def test_generic_resources_are_told_in_the_environment(engine: DockerEngine) -> None:
    given = [resources.named("gpu", "a"), resources.named("gpu", "b")]
    said = await engine.output_of(
        "sh", "-c", "echo $DOCKER_RESOURCE_GPU", task={"assigned_generic_resources": given}
    )
    assert "a,b\n" == said


async def test_user_groups_directory_and_hostname(engine: DockerEngine) -> None:
    said = await engine.output_of(
        "sh",
        "-c",
        "id -u; id -g; id -G; pwd; hostname",
        user="web",
        groups=["logs"],
        dir="/tmp",
        hostname="{{.Service.Name}}-{{.Task.Slot}}",
    )
    assert "1234\n1235\n1235 1240\n/tmp\nweb-1\n" == said


async def test_a_terminal_is_one(engine: DockerEngine) -> None:
    assert "a tty\r\n" == await engine.output_of("sh", "-c", "[ -t 1 ] && echo a tty", tty=True)


async def test_open_standard_input_does_not_end(engine: DockerEngine) -> None:
    controller = await engine.started("cat", open_stdin=True)
    assert "running" == (await engine.inspect(controller))["State"]["Status"]


async def test_a_read_only_root_takes_no_file(engine: DockerEngine) -> None:
    said = await engine.output_of("sh", "-c", "touch /x 2>&1 || true", read_only=True)
    assert "touch: /x: Read-only file system\n" == said


async def test_hosts_have_all_their_names(engine: DockerEngine) -> None:
    said = await engine.output_of("grep", "10.0.0.9", "/etc/hosts", hosts=["10.0.0.9 db database"])
    assert [["10.0.0.9", "db"], ["10.0.0.9", "database"]] == [x.split() for x in said.splitlines()]


async def test_name_servers_are_the_specs(engine: DockerEngine) -> None:
    dns = {"nameservers": ["10.0.0.2"], "search": ["example.org"], "options": ["ndots:3"]}
    said = await engine.output_of("cat", "/etc/resolv.conf", dns_config=dns)
    assert {"nameserver 10.0.0.2", "search example.org", "options ndots:3"} <= set(
        said.splitlines()
    )


async def test_kernel_settings_are_the_specs(engine: DockerEngine) -> None:
    name = "net.ipv4.ip_unprivileged_port_start"
    said = await engine.output_of(
        "cat", f"/proc/sys/{name.replace('.', '/')}", sysctls={name: "81"}
    )
    assert "81\n" == said


async def test_capabilities_are_added_and_dropped(engine: DockerEngine) -> None:
    said = await engine.output_of(
        "grep", "CapEff", "/proc/self/status", capability_drop=["ALL"], capability_add=["CAP_CHOWN"]
    )
    assert "CapEff:\t0000000000000001\n" == said


async def test_ulimits_are_the_specs(engine: DockerEngine) -> None:
    said = await engine.output_of(
        "sh", "-c", "ulimit -Sn; ulimit -Hn", ulimits=[{"name": "nofile", "soft": 100, "hard": 200}]
    )
    assert "100\n200\n" == said


async def test_privileges_are_given_up_for_good(engine: DockerEngine) -> None:
    said = await engine.output_of(
        "grep", "NoNewPrivs", "/proc/self/status", privileges={"no_new_privileges": True}
    )
    assert "NoNewPrivs:\t1\n" == said


async def test_system_calls_are_filtered_unless_told_otherwise(engine: DockerEngine) -> None:
    free = api.Privileges.SeccompOpts(mode=api.Privileges.SeccompOpts.UNCONFINED)
    command = ("grep", "Seccomp:", "/proc/self/status")
    assert "Seccomp:\t2\n" == await engine.output_of(*command)
    assert "Seccomp:\t0\n" == await engine.output_of(*command, privileges={"seccomp": free})


async def test_a_seccomp_profile_of_ones_own_holds(engine: DockerEngine) -> None:
    profile = (
        b'{"defaultAction":"SCMP_ACT_ALLOW",'
        b'"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
    )
    own = api.Privileges.SeccompOpts(mode=api.Privileges.SeccompOpts.CUSTOM, profile=profile)
    said = await engine.output_of(
        "sh", "-c", "mkdir /tmp/x 2>&1 || true", privileges={"seccomp": own}
    )
    assert "mkdir: can't create directory '/tmp/x': Operation not permitted\n" == said


async def test_an_init_is_the_first_process(engine: DockerEngine) -> None:
    controller = await engine.prepared("true", init={"value": True})
    assert (await engine.inspect(controller))["HostConfig"]["Init"] is True


async def test_the_oom_score_is_the_specs(engine: DockerEngine) -> None:
    said = await engine.output_of("cat", "/proc/self/oom_score_adj", oom_score_adj=321)
    assert "321\n" == said


async def test_limits_and_reservations_reach_the_engine(engine: DockerEngine) -> None:
    asked = {
        "limits": {"nano_cpus": 500_000_000, "memory_bytes": 64 << 20},
        "reservations": {"memory_bytes": 32 << 20},
        "swap_bytes": {"value": 16 << 20},
    }
    controller = await engine.prepared("true", pidsLimit=20, spec={"resources": asked})
    host = (await engine.inspect(controller))["HostConfig"]
    names = ("NanoCpus", "Memory", "MemorySwap", "MemoryReservation", "PidsLimit")
    wanted = [500_000_000, 64 << 20, 80 << 20, 32 << 20, 20]
    assert wanted == [host[name] for name in names]


async def test_the_pids_limit_holds(engine: DockerEngine) -> None:
    command = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"
    with pytest.raises(ExecutorError, match="non-zero exit"):
        await engine.output_of("sh", "-c", command, pidsLimit=4)


async def test_the_log_driver_is_the_specs(engine: DockerEngine) -> None:
    driver = {"name": "json-file", "options": {"max-size": "1m", "max-file": "2"}}
    controller = await engine.prepared("true", spec={"log_driver": driver})
    config = (await engine.inspect(controller))["HostConfig"]["LogConfig"]
    assert {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}} == config


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"capability_add": ["NO_SUCH"]}, "NO_SUCH"),
        ({"user": "nobody-knows"}, "nobody-knows"),
        ({"isolation": 1}, "isolation: exists on Windows only"),
        ({"healthcheck": {"start_interval": {"seconds": 1}}}, "healthcheck.start_interval: needs"),
        ({"mounts": [{"type": 0, "source": "/no/such", "target": "/a"}]}, "/no/such"),
    ],
)
async def test_what_cannot_be_had_is_told(engine: DockerEngine, fields, reason) -> None:
    with pytest.raises(ExecutorError, match=reason):
        await engine.started("true", **fields)


# Mounts


async def test_a_directory_of_the_host_is_there(engine: DockerEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    mount = _Mount(type=_Mount.BIND, source=str(tmp_path), target="/host", readonly=True)
    said = await engine.output_of(
        "sh", "-c", "cat /host/file; touch /host/x 2>&1 || true", mounts=[mount]
    )
    assert "of the host\ntouch: /host/x: Read-only file system\n" == said


async def test_a_volume_outlives_its_task(engine: DockerEngine) -> None:
    mount = _Mount(
        type=_Mount.VOLUME,
        source="kept-{{.Service.Name}}",
        target="/kept",
        volume_options={"labels": {"a": "b"}, "driver_config": {"name": "local"}},
    )
    first = await engine.started("sh", "-c", "echo 1 > /kept/file", mounts=[mount])
    await first.wait()
    await first.remove()
    assert "1\n" == await engine.output_of("cat", "/kept/file", mounts=[mount])
    with engine.daemon.client() as client:
        assert {"a": "b"} == client.inspect_volume("kept-web")["Labels"]


async def test_a_tmpfs_has_its_size_and_mode(engine: DockerEngine) -> None:
    options = {"size_bytes": 1 << 20, "mode": 0o700}
    mount = _Mount(type=_Mount.TMPFS, target="/t", tmpfs_options=options)
    said = await engine.output_of(
        "sh", "-c", "stat -c %a /t; grep ' /t ' /proc/mounts", mounts=[mount]
    )
    assert said.startswith("700\ntmpfs /t tmpfs ")
    assert "size=1024k" in said


async def test_a_cluster_volume_is_a_directory_or_a_device(
    engine: DockerEngine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("of the plugin\n")
    volumes = [MountedVolume(str(tmp_path)), MountedVolume("/dev/zero", is_block=True)]
    said = await engine.output_of(
        *("sh", "-c", "cat /data/file; touch /data/x 2>&1; head -c 3 /dev/disk | wc -c"),
        mounts=[
            _Mount(type=_Mount.CLUSTER, source="a", target="/data", readonly=True),
            _Mount(type=_Mount.CLUSTER, source="b", target="/dev/disk"),
        ],
        dependencies=Dependencies(volumes=volumes),
    )
    assert "of the plugin\ntouch: /data/x: Read-only file system\n3\n" == said


# Secrets and configs


async def test_secrets_and_configs_are_files_with_mode_and_owner(engine: DockerEngine) -> None:
    secret, config = builders.secret("key", data=b"hush\n"), builders.config("conf", data=b"x=1\n")
    said = await engine.output_of(
        "sh",
        "-c",
        "cd /run/secrets; cat key /conf; stat -c '%a %u %g' key /etc/web/conf; mount | grep sec",
        user="web",
        dependencies=having([secret], [config]),
        secrets=[secret_file(secret, uid="1234", gid="1235", mode=0o400)],
        configs=[config_file(config), config_file(config, "/etc/web/conf", mode=0o444)],
    )
    *said, mounted = said.splitlines()
    assert ["hush", "x=1", "400 1234 1235", "444 0 0"] == said
    assert mounted.startswith("tmpfs on /run/secrets/key type tmpfs (ro")


async def test_a_payload_is_filled_in_where_it_is_a_template(engine: DockerEngine) -> None:
    secret = builders.secret("key", data=b"hush")
    config = builders.config("conf", data=b'{{.Service.Name}} {{env "A"}} {{secret "key"}}')
    config.spec.templating.name = "golang"
    said = await engine.output_of(
        "cat",
        "/conf",
        env=["A=1"],
        dependencies=having([secret], [config]),
        secrets=[secret_file(secret)],
        configs=[config_file(config)],
    )
    assert "web 1 hush" == said


@pytest.mark.parametrize("end", ["wait", "shutdown", "terminate", "remove"])
async def test_no_secret_outlives_its_task(engine: DockerEngine, end: str) -> None:
    secret = builders.secret("key")
    controller = await engine.started(
        "sleep",
        "1" if end == "wait" else "60",
        dependencies=having([secret]),
        secrets=[secret_file(secret)],
    )
    file = Path((await engine.inspect(controller))["Mounts"][0]["Source"])
    assert b"hidden" == file.read_bytes()
    await getattr(controller, end)()
    assert not file.parent.exists()


async def test_a_task_that_is_refused_leaves_no_secret(engine: DockerEngine) -> None:
    secret = builders.secret("key")
    with pytest.raises(ExecutorError, match="NO_SUCH"):
        await engine.prepared(
            "true",
            dependencies=having([secret]),
            secrets=[secret_file(secret)],
            capability_add=["NO_SUCH"],
        )
    assert [] == [path for root in engine.executor._files._roots() for path in root.iterdir()]


async def test_a_secret_without_a_number_for_its_owner_is_refused(engine: DockerEngine) -> None:
    secret = builders.secret("key")
    with pytest.raises(RejectedError, match="secrets: key: uid web is not a number"):
        await engine.prepared(
            "true", dependencies=having([secret]), secrets=[secret_file(secret, uid="web")]
        )


# Networks and ports


def port(target: int, published: int = 0, **fields: object) -> api.PortConfig:
    return api.PortConfig(
        target_port=target, published_port=published, publish_mode=HOST_MODE, **fields
    )


async def test_a_host_mode_port_is_open_and_told(engine: DockerEngine) -> None:
    ports = [port(80, 18080, name="http"), port(53, protocol=api.PortConfig.Protocol.UDP)]
    controller = await engine.started(
        "sh", "-c", "while :; do echo hi | nc -l -p 80; done", task={"endpoint": {"ports": ports}}
    )
    status = await controller.port_status()
    told = {(each.target_port, each.name): each.published_port for each in status.ports}
    assert {(80, "http"), (53, "")} == told.keys()
    assert 18080 == told[80, "http"]
    assert told[53, ""] > 1024
    said = engine.daemon.in_network("busybox", "nc", "-w", "2", "127.0.0.1", "18080")
    assert "hi\n" == said


async def test_a_port_that_is_taken_fails_with_the_reason(engine: DockerEngine) -> None:
    endpoint = {"endpoint": {"ports": [port(80, 18081)]}}
    await engine.started("sleep", "60", task=endpoint)
    with pytest.raises(ExecutorError, match=r"18081.*(in use|allocated)"):
        await engine.started("sleep", "60", task=endpoint)


@pytest.mark.parametrize(("name", "driver"), [("host", "host"), ("none", "null")])
async def test_a_predefined_network_is_used(engine: DockerEngine, name, driver) -> None:
    attached = {"networks": [network(name, driver)]}
    controller = await engine.prepared("true", task=attached)
    networks = (await engine.inspect(controller))["NetworkSettings"]["Networks"]
    assert [name] == list(networks)


async def test_a_network_over_many_hosts_is_refused(engine: DockerEngine) -> None:
    attached = {"networks": [network("back", "overlay", predefined=False)]}
    with pytest.raises(RejectedError, match=r"networks: back \(overlay\): containers here have"):
        await engine.prepared("true", task=attached)
