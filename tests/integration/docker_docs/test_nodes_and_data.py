"""The examples of the pages of `docker node`, `docker secret` and `docker config`."""

import json
from pathlib import Path

from tests.integration.docker_docs.conftest import Swarm


def test_a_node_is_labelled_and_drained(swarm: Swarm) -> None:
    swarm("docker node update --label-add foo --label-add type=queue worker1")
    assert {"foo": "", "type": "queue"} == swarm.inspect("worker1", "node")["Spec.Labels"]
    swarm("docker node update --label-rm foo --availability drain worker1")
    found = swarm.inspect("self", "node")
    assert ({"type": "queue"}, "drain") == (found["Spec.Labels"], found["Spec.Availability"])
    assert "has no label 'foo'" in swarm.refused("docker node update --label-rm foo worker1")


def test_nodes_are_listed_filtered_and_formatted(swarm: Swarm) -> None:
    swarm("docker node update --label-add region=east worker1")
    head, row = swarm("docker node ls").splitlines()
    assert "ID HOSTNAME STATUS AVAILABILITY MANAGER STATUS ENGINE VERSION" == " ".join(head.split())
    assert ["worker1", "Ready", "Active"] == row.split()[1:]
    for flags, count in (
        ("--filter role=worker", 1),
        ("--filter role=manager", 0),
        ("--filter membership=accepted", 1),
        ("-f node.label=region=east", 1),
        ("-f label=region", 0),
        ("-f name=work", 1),
    ):
        assert count == len(swarm(f"docker node ls {flags} -q").split())
    said = swarm('docker node ls --format "{{.Hostname}}: {{.TLSStatus}} {{.Self}}"')
    assert "worker1: Unknown true" == said.strip()
    assert "is not worker, manager" in swarm.refused("docker node ls --filter role=boss")


def test_the_tasks_of_this_node_are_listed(swarm: Swarm) -> None:
    assert swarm("docker node ps").split()[0] == "ID"
    assert "" == swarm('docker node ps --format "{{.Name}}: {{.Image}}" self')


def test_a_secret_is_made_listed_and_removed(swarm: Swarm, tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text("hidden")
    swarm("docker secret create piped -", data="my super secret password")
    swarm(f"docker secret create --label env=dev --label rev=20170324 my_secret {file}")
    found = swarm.inspect("my_secret", "secret")
    assert {"env": "dev", "rev": "20170324"} == found["Spec.Labels"]
    assert "hidden" not in str(found)
    said = swarm('docker secret ls --filter label=env=dev --format "{{.Name}}: {{.Labels}}"')
    assert "my_secret: env=dev,rev=20170324" == said.strip()
    table = swarm(
        r'docker secret ls --format "table {{.Name}}\t{{.Label \"env\"}}\t{{.CreatedAt}}"'
    )
    assert ["NAME", "ENV", "CREATED"] == table.splitlines()[0].split()
    assert {"CreatedAt", "Driver", "ID", "Labels", "Name", "UpdatedAt"} == set(
        json.loads(swarm("docker secret ls -f name=my --format json"))
    )
    assert swarm("docker secret inspect --format='{{.CreatedAt}}' my_secret").endswith("UTC\n")
    swarm("docker secret rm my_secret piped")
    assert ["ID", "NAME", "CREATED", "UPDATED"] == swarm("docker secret ls").split()


def test_a_configs_data_is_shown(swarm: Swarm) -> None:
    swarm("docker config create --template-driver golang my_config -", data="hello\n")
    found = swarm.inspect("my_config", "config")
    assert "aGVsbG8K" == found["Spec.Data"]
    assert "golang" == found["Spec.Templating"]["Name"]
