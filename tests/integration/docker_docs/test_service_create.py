"""The examples of `docker service create`'s page, each with what it asks for."""

import pytest

from tests.integration.docker_docs.conftest import Swarm

SECOND = 10**9
CONTAINER = "Spec.TaskTemplate.ContainerSpec"
PLACEMENT = "Spec.TaskTemplate.Placement"

EXAMPLES = [
    (
        "docker service create --name redis redis:7.4.1",
        {
            "Spec.Name": "redis",
            f"{CONTAINER}.Image": "redis:7.4.1",
            "Spec.Mode": {"Replicated": {"Replicas": 1}},
        },
    ),
    ("docker service create --mode global --name redis redis:7.4.1", {"Spec.Mode": {"Global": {}}}),
    (
        "docker service create --name redis --replicas=5 redis:7.4.1",
        {"Spec.Mode.Replicated.Replicas": 5},
    ),
    (
        (
            "docker service create --replicas 10 --name redis --update-delay 10s "
            "--update-parallelism 2 redis:7.4.1"
        ),
        {"Spec.UpdateConfig.Delay": 10 * SECOND, "Spec.UpdateConfig.Parallelism": 2},
    ),
    (
        "docker service create --name redis --replicas 5 --env MYVAR=foo --env MYVAR2=bar redis",
        {f"{CONTAINER}.Env": ["MYVAR=foo", "MYVAR2=bar"]},
    ),
    (
        "docker service create --name redis --hostname myredis redis:7.4.1",
        {f"{CONTAINER}.Hostname": "myredis"},
    ),
    (
        'docker service create --name redis --label com.example.foo="bar" --label bar=baz redis',
        {"Spec.Labels": {"com.example.foo": "bar", "bar": "baz"}},
    ),
    (
        (
            "docker service create --name redis --replicas 3 --mount type=volume,source=my-volume,"
            'destination=/path/in/container,volume-label="color=red",volume-label="shape=round" '
            "nginx"
        ),
        {
            f"{CONTAINER}.Mounts": [
                {
                    "Type": "volume",
                    "Source": "my-volume",
                    "Target": "/path/in/container",
                    "ReadOnly": False,
                    "VolumeOptions": {
                        "NoCopy": False,
                        "Labels": {"color": "red", "shape": "round"},
                        "Subpath": "",
                    },
                }
            ]
        },
    ),
    (
        "docker service create --name redis --mount type=volume,destination=/path nginx:alpine",
        {
            f"{CONTAINER}.Mounts": [
                {"Type": "volume", "Source": "", "Target": "/path", "ReadOnly": False}
            ]
        },
    ),
    (
        (
            "docker service create --name redis --mount type=bind,source=/path/on/host,"
            "destination=/path/in/container nginx:alpine"
        ),
        {
            f"{CONTAINER}.Mounts": [
                {
                    "Type": "bind",
                    "Source": "/path/on/host",
                    "Target": "/path/in/container",
                    "ReadOnly": False,
                }
            ]
        },
    ),
    (
        (
            "docker service create --name redis --constraint node.platform.os==linux "
            "--constraint node.labels.type==queue redis:7.4.1"
        ),
        {f"{PLACEMENT}.Constraints": ["node.platform.os==linux", "node.labels.type==queue"]},
    ),
    (
        (
            "docker service create --replicas 9 --name redis "
            "--placement-pref 'spread=node.labels.datacenter' "
            "--placement-pref 'spread=node.labels.rack' redis:7.4.1"
        ),
        {
            f"{PLACEMENT}.Preferences": [
                {"Spread": {"SpreadDescriptor": "node.labels.datacenter"}},
                {"Spread": {"SpreadDescriptor": "node.labels.rack"}},
            ]
        },
    ),
    (
        "docker service create --reserve-memory=4GB --name=redis nginx:alpine",
        {"Spec.TaskTemplate.Resources.Reservations.MemoryBytes": 4 << 30},
    ),
    (
        "docker service create --limit-memory=4GB --name=redis nginx:alpine",
        {"Spec.TaskTemplate.Resources.Limits.MemoryBytes": 4 << 30},
    ),
    (
        (
            "docker service create --name redis --replicas 2 --replicas-max-per-node 1 "
            "--placement-pref 'spread=node.labels.datacenter' nginx"
        ),
        {f"{PLACEMENT}.MaxReplicas": 1},
    ),
    (
        "docker service create --name redis --replicas 3 --publish 8080:80 nginx",
        {
            "Spec.EndpointSpec.Ports": [
                {
                    "Protocol": "tcp",
                    "TargetPort": 80,
                    "PublishedPort": 8080,
                    "PublishMode": "ingress",
                }
            ]
        },
    ),
    (
        "docker service create --name redis --publish published=8080,target=80,mode=host nginx",
        {
            "Spec.EndpointSpec.Ports": [
                {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
            ]
        },
    ),
    (
        (
            "docker service create --name redis "
            '--hostname="{{.Node.Hostname}}-{{.Node.ID}}-{{.Service.Name}}" busybox top'
        ),
        {
            f"{CONTAINER}.Hostname": "{{.Node.Hostname}}-{{.Node.ID}}-{{.Service.Name}}",
            f"{CONTAINER}.Args": ["top"],
        },
    ),
    (
        "docker service create --name redis --isolation=process microsoft/nanoserver",
        {f"{CONTAINER}.Isolation": "process"},
    ),
    (
        (
            'docker service create --name redis --generic-resource "NVIDIA-GPU=2" '
            '--generic-resource "SSD=1" nvidia/cuda'
        ),
        {
            "Spec.TaskTemplate.Resources.Reservations.GenericResources": [
                {"DiscreteResourceSpec": {"Kind": "NVIDIA-GPU", "Value": 2}},
                {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 1}},
            ]
        },
    ),
    (
        'docker service create --name redis --mode replicated-job bash "true"',
        {
            "Spec.Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}},
            f"{CONTAINER}.Args": ["true"],
        },
    ),
    (
        (
            "docker service create --name redis --mode replicated-job --replicas 10 "
            '--max-concurrent 2 bash "true"'
        ),
        {"Spec.Mode": {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 10}}},
    ),
    (
        "docker service create --name redis --mode global-job bash true",
        {"Spec.Mode": {"GlobalJob": {}}},
    ),
    (
        "docker service create --name redis alpine ping -c 3 docker.com",
        {f"{CONTAINER}.Args": ["ping", "-c", "3", "docker.com"]},
    ),
    (
        (
            "docker service create --name redis --entrypoint 'sh -c' --with-registry-auth=false "
            "--user 1000 --workdir /srv --group 10 --dns 1.1.1.1 --host db:10.0.0.2 --read-only "
            "--cap-add net_admin --sysctl net.core.somaxconn=1024 --ulimit nofile=10:20 -t nginx"
        ),
        {
            f"{CONTAINER}.Command": ["sh", "-c"],
            f"{CONTAINER}.User": "1000",
            f"{CONTAINER}.Dir": "/srv",
            f"{CONTAINER}.Groups": ["10"],
            f"{CONTAINER}.DNSConfig.Nameservers": ["1.1.1.1"],
            f"{CONTAINER}.Hosts": ["10.0.0.2 db"],
            f"{CONTAINER}.ReadOnly": True,
            f"{CONTAINER}.CapabilityAdd": ["CAP_NET_ADMIN"],
            f"{CONTAINER}.Sysctls": {"net.core.somaxconn": "1024"},
            f"{CONTAINER}.Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
            f"{CONTAINER}.TTY": True,
        },
    ),
    (
        (
            "docker service create --name redis --update-failure-action rollback "
            "--update-max-failure-ratio .25 --rollback-monitor 20s --update-order start-first "
            "--restart-condition on-failure --restart-max-attempts 3 nginx"
        ),
        {
            "Spec.UpdateConfig.FailureAction": "rollback",
            "Spec.UpdateConfig.MaxFailureRatio": 0.25,
            "Spec.UpdateConfig.Order": "start-first",
            "Spec.RollbackConfig.Monitor": 20 * SECOND,
            "Spec.TaskTemplate.RestartPolicy.Condition": "on-failure",
            "Spec.TaskTemplate.RestartPolicy.MaxAttempts": 3,
        },
    ),
]


@pytest.mark.timeout(120)
def test_each_example_asks_for_what_the_page_says(swarm: Swarm) -> None:
    for line, expected in EXAMPLES:
        swarm(line)
        found = swarm.inspect("redis")
        assert expected == {path: found[path] for path in expected}, line
        swarm("docker service rm redis")


def test_secrets_and_configs_are_references(swarm: Swarm) -> None:
    for name in ("ssh-key", "app-key", "secret.json"):
        swarm(f"docker secret create {name} -", data="secret")
    swarm("docker config create redis-conf -", data="port 1")
    swarm("docker service create --name redis --secret secret.json redis:7.4.1")
    swarm(
        "docker service create --name two --secret source=ssh-key,target=ssh --secret "
        "source=app-key,target=app,uid=1000,gid=1001,mode=0400 redis:7.4.1"
    )
    swarm(
        "docker service create --name three --config "
        "source=redis-conf,target=/etc/redis/redis.conf,mode=0400 redis:7.4.1"
    )
    (plain,) = swarm.inspect("redis")[f"{CONTAINER}.Secrets"]
    files = [one["File"] for one in swarm.inspect("two")[f"{CONTAINER}.Secrets"]]
    (config,) = swarm.inspect("three")[f"{CONTAINER}.Configs"]
    assert {"Name": "secret.json", "UID": "0", "GID": "0", "Mode": 0o444} == plain["File"]
    assert [
        {"Name": "ssh", "UID": "0", "GID": "0", "Mode": 0o444},
        {"Name": "app", "UID": "1000", "GID": "1001", "Mode": 0o400},
    ] == files
    assert ("redis-conf", "/etc/redis/redis.conf") == (
        config["ConfigName"],
        config["File"]["Name"],
    )


def test_networks_are_attached_by_name(swarm: Swarm) -> None:
    swarm("docker network create my-network")
    swarm("docker service create --replicas 3 --network my-network --name my-web nginx")
    swarm("docker service create --network name=my-network,alias=web1 --name two nginx")
    (one,) = swarm.inspect("two")["Spec.TaskTemplate.Networks"]
    assert ["web1"] == one["Aliases"]
    drivers = swarm.refused("docker network create --driver overlay other")
    assert "drivers are unavailable" in drivers


def test_a_service_without_a_name_gets_one_of_its_image(swarm: Swarm) -> None:
    swarm("docker service create nginx:alpine")
    assert swarm("docker service ls --format '{{.Name}}'").startswith("nginx-")


def test_a_port_of_the_routing_mesh_is_warned_of(swarm: Swarm) -> None:
    done = swarm.run("docker service create --name web -p 8080:80 nginx")
    assert "there is no routing mesh" in done.stderr
    assert "mode=host" in done.stderr
