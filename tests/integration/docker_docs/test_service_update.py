"""The examples of the pages of `docker service update`, `scale`, `rollback`, `ls`, `inspect`."""

import json

import pytest

from tests.integration.docker_docs.conftest import Swarm

SECOND = 10**9
CONTAINER = "Spec.TaskTemplate.ContainerSpec"
pytestmark = pytest.mark.timeout(120)


def test_limits_and_forced_restarts(swarm: Swarm) -> None:
    swarm("docker service create --name redis redis:7.4.1")
    swarm("docker service update --limit-cpu 2 redis")
    swarm("docker service update --force --update-parallelism 1 --update-delay 30s redis")
    found = swarm.inspect("redis")
    assert 2 * SECOND == found["Spec.TaskTemplate.Resources.Limits.NanoCPUs"]
    assert 1 == found["Spec.TaskTemplate.ForceUpdate"]
    assert 30 * SECOND == found["Spec.UpdateConfig.Delay"]


def test_mounts_come_and_go_by_their_targets(swarm: Swarm) -> None:
    swarm(
        "docker service create --name=myservice "
        "--mount type=volume,source=test-data,target=/somewhere nginx:alpine"
    )
    swarm(
        "docker service update "
        "--mount-add type=volume,source=other-volume,target=/somewhere-else myservice"
    )
    swarm("docker service update --mount-rm /somewhere myservice")
    (left,) = swarm.inspect("myservice")[f"{CONTAINER}.Mounts"]
    assert ("other-volume", "/somewhere-else") == (left["Source"], left["Target"])


def test_ports_come_and_go(swarm: Swarm) -> None:
    swarm("docker service create --name=myservice nginx:alpine")
    swarm("docker service update --publish-add published=8080,target=80 myservice")
    swarm("docker service update --publish-add published=443,target=443,mode=host myservice")
    swarm("docker service update --publish-rm 80 myservice")
    (left,) = swarm.inspect("myservice")["Spec.EndpointSpec.Ports"]
    assert 443 == left["TargetPort"]


def test_networks_come_and_go(swarm: Swarm) -> None:
    for name in ("my-network", "other"):
        swarm(f"docker network create {name}")
    swarm("docker service create --name=myservice --network other nginx:alpine")
    swarm(
        "docker service update --network-rm other "
        "--network-add name=my-network,alias=web1 myservice"
    )
    (left,) = swarm.inspect("myservice")["Spec.TaskTemplate.Networks"]
    assert swarm.inspect("my-network", "network")["ID"] == left["Target"]


def test_a_service_is_rolled_back_even_with_another_delay(swarm: Swarm) -> None:
    swarm("docker service create --name web --replicas 4 nginx:alpine")
    swarm("docker service update --replicas=5 web")
    swarm("docker service update --rollback web")
    assert "4" == _replicas(swarm)
    swarm("docker service update --replicas=5 web")
    swarm("docker service update --rollback --update-delay 0s web")
    assert "4" == _replicas(swarm)
    swarm("docker service update --replicas=3 web")
    swarm("docker service rollback web")
    assert "4" == _replicas(swarm)


def _replicas(swarm: Swarm) -> str:
    return swarm("docker service inspect --format='{{.Spec.Mode.Replicated.Replicas}}' web").strip()


def test_a_service_without_an_update_has_nothing_to_go_back_to(swarm: Swarm) -> None:
    swarm("docker service create --name web nginx:alpine")
    assert "no previous spec" in swarm.refused("docker service rollback web")


def test_secrets_are_exchanged(swarm: Swarm) -> None:
    for name in ("ssh-1", "ssh-2"):
        swarm(f"docker secret create {name} -", data="key")
    swarm("docker service create --name myservice --secret ssh-1 nginx")
    swarm(
        "docker service update --secret-add source=ssh-2,target=ssh-2 --secret-rm ssh-1 myservice"
    )
    (left,) = swarm.inspect("myservice")[f"{CONTAINER}.Secrets"]
    assert "ssh-2" == left["SecretName"]


def test_lists_are_added_to_and_taken_out_of(swarm: Swarm) -> None:
    swarm(
        "docker service create --name web --env A=1 --env B=2 --label x=1 --constraint "
        "node.role==worker --host a:10.0.0.1 --container-label c=1 --dns 1.1.1.1 nginx"
    )
    swarm(
        "docker service update --env-add B=a,b --env-rm A --label-add y=2 --label-rm x "
        "--constraint-rm node.role==worker --constraint-add node.labels.zone==a "
        "--host-rm a --host-add b:10.0.0.2 --container-label-rm c --container-label-add d=1 "
        "--dns-rm 1.1.1.1 --dns-search-add example.com --user 10 --image nginx:2 web"
    )
    found = swarm.inspect("web")
    assert ["B=a,b"] == found[f"{CONTAINER}.Env"]
    assert {"y": "2"} == found["Spec.Labels"]
    assert ["node.labels.zone==a"] == found["Spec.TaskTemplate.Placement.Constraints"]
    assert ["10.0.0.2 b"] == found[f"{CONTAINER}.Hosts"]
    assert {"d": "1"} == found[f"{CONTAINER}.Labels"]
    assert [] == found[f"{CONTAINER}.DNSConfig.Nameservers"]
    assert ["example.com"] == found[f"{CONTAINER}.DNSConfig.Search"]
    assert ("10", "nginx:2") == (found[f"{CONTAINER}.User"], found[f"{CONTAINER}.Image"])


def test_capabilities_have_three_states(swarm: Swarm) -> None:
    swarm("docker service create --name web --cap-drop NET_ADMIN nginx")
    swarm("docker service update --cap-add CAP_NET_ADMIN web")
    assert ([], []) == _capabilities(swarm)
    swarm("docker service update --cap-add NET_ADMIN web")
    assert (["CAP_NET_ADMIN"], []) == _capabilities(swarm)


def _capabilities(swarm: Swarm) -> tuple[list[str], list[str]]:
    found = swarm.inspect("web")
    return found[f"{CONTAINER}.CapabilityAdd"], found[f"{CONTAINER}.CapabilityDrop"]


def test_several_services_are_scaled_at_once_and_a_global_one_is_not(swarm: Swarm) -> None:
    swarm("docker service create --name frontend nginx")
    swarm("docker service create --name job --mode replicated-job --max-concurrent 1 bash true")
    swarm("docker service create --mode global --name backend backend:latest")
    said = swarm("docker service scale frontend=50 job=3")
    assert ["frontend scaled to 50", "job scaled to 3"] == said.splitlines()
    refused = swarm.refused("docker service scale backend=10")
    assert "backend: scale can only be used with replicated or replicated-job mode" in refused


def test_a_job_takes_no_settings_of_updates(swarm: Swarm) -> None:
    line = "docker service create --name j --mode global-job --update-delay 1s bash true"
    assert "update and rollback configuration is not supported for jobs" in swarm.refused(line)


def test_services_are_listed_filtered_and_formatted(swarm: Swarm) -> None:
    swarm("docker service create --name redis --label project=project-a redis:7.4.1")
    swarm("docker service create --name top --mode global --label project busybox")
    swarm("docker service create --name job --mode replicated-job --replicas 5 nginx:latest")
    head, *rows = swarm("docker service ls").splitlines()
    assert ["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"] == head.split()
    assert ["job", "redis", "top"] == [row.split()[1] for row in rows]
    for flags, names in (
        ("--filter label=project", ["redis", "top"]),
        ("--filter label=project=project-a", ["redis"]),
        ("--filter mode=global", ["top"]),
        ("-f name=re", ["redis"]),
        ("-f name=re -f mode=global", []),
        (f"-f id={swarm.inspect('top')['ID'][:6]}", ["top"]),
    ):
        said = swarm(f"docker service ls {flags} --format '{{{{.Name}}}}'")
        assert names == said.split()
    said = swarm('docker service ls --format "{{.Name}}: {{.Mode}} {{.Replicas}}"')
    assert "job: replicated job 0/5 (0/5 completed)" in said.splitlines()
    (line,) = swarm("docker service ls -f name=redis --format json").splitlines()
    assert {"ID", "Image", "Mode", "Name", "Ports", "Replicas"} == set(json.loads(line))
    table = swarm(r'docker service ls --format "table {{.Name}}\t{{upper .Image}}"')
    assert ["NAME", "IMAGE"] == table.splitlines()[0].split()


def test_what_is_inspected_can_be_asked_for_by_a_template(swarm: Swarm) -> None:
    swarm("docker service create --name web --replicas 2 --env A=1 --env B=2 nginx")
    assert "A=1 B=2 " == swarm(
        "docker service inspect web --format "
        "'{{range .Spec.TaskTemplate.ContainerSpec.Env}}{{.}} {{end}}'"
    ).rstrip("\n")
    assert "{}" == swarm("docker service inspect web --format '{{json .Spec.Labels}}'").strip()
    assert "can't evaluate field Nothing" in swarm.refused(
        "docker service inspect web --format '{{.Nothing}}'"
    )
    pretty = swarm("docker service inspect --pretty web")
    assert "Name" in pretty
