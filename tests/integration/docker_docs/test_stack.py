"""The examples of Docker's pages of stacks: `docker stack deploy|ls|services|config|rm`."""

import json
from pathlib import Path

import pytest

from tests.integration.docker_docs.conftest import Swarm

VOSSIBILITY = """
version: "3.8"
services:
  app: {image: my/app, deploy: {replicas: 3}}
  db: {image: my/db}
networks: {default: {}}
"""
TUTORIAL = """
services:
  web:
    image: 127.0.0.1:5000/stackdemo
    build: .
    ports:
      - "8000:8000"
  redis:
    image: redis:alpine
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docker-compose.yml").write_text(VOSSIBILITY)
    (tmp_path / "compose.yml").write_text(TUTORIAL)
    (tmp_path / "docker-compose.prod.yml").write_text(
        'version: "3.8"\nservices: {app: {deploy: {replicas: 5}}, logs: {image: my/logs}}'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(swarm: Swarm, stack: str) -> list[str]:
    return swarm(f"docker stack services --format {{{{.Name}}}} {stack}").split()


def test_the_tutorials_stack_is_deployed_looked_at_and_removed(swarm: Swarm):
    done = swarm.run("docker stack deploy --compose-file compose.yml stackdemo")
    assert [
        "Creating service stackdemo_redis",
        "Creating service stackdemo_web",
    ] == done.stdout.splitlines()
    assert "unsupported option build (web)" in done.stderr
    assert ["stackdemo_redis", "stackdemo_web"] == names(swarm, "stackdemo")
    assert [
        "Removing service stackdemo_redis",
        "Removing service stackdemo_web",
    ] == swarm("docker stack rm stackdemo").splitlines()
    assert "Nothing found in stack: stackdemo\n" == swarm.run("docker stack rm stackdemo").stderr


def test_a_file_may_come_from_standard_input(swarm: Swarm):
    said = swarm("docker stack deploy --compose-file - vossibility", data=VOSSIBILITY)
    assert "Creating network vossibility_default" == said.splitlines()[0]
    assert ["vossibility_app", "vossibility_db"] == names(swarm, "vossibility")


def test_several_files_are_merged(swarm: Swarm):
    swarm("docker stack deploy -c docker-compose.yml -c docker-compose.prod.yml vossibility")
    assert 3 == len(names(swarm, "vossibility"))
    app = swarm.inspect("vossibility_app")
    assert 5 == app["Spec.Mode.Replicated.Replicas"]
    assert "my/app" == app["Spec"]["Labels"]["com.docker.stack.image"]
    shown = swarm("docker stack config -c docker-compose.yml -c docker-compose.prod.yml")
    assert "      replicas: 5\n" in shown


def test_stacks_are_listed(swarm: Swarm):
    swarm("docker stack deploy -c docker-compose.yml vossibility")
    swarm("docker stack deploy -c compose.yml myapp")
    listed = swarm("docker stack ls").splitlines()
    assert [["NAME", "SERVICES"], ["myapp", "2"], ["vossibility", "2"]] == [
        line.split() for line in listed
    ]
    assert "myapp: 2\nvossibility: 2\n" == swarm(
        "docker stack ls --format '{{.Name}}: {{.Services}}'"
    )
    first = swarm("docker stack ls --format json").splitlines()[0]
    assert {"Name": "myapp", "Services": "2"} == json.loads(first)


def test_services_of_a_stack_are_filtered(swarm: Swarm):
    swarm("docker stack deploy -c docker-compose.prod.yml -c docker-compose.yml myapp")
    filters = "--filter name=myapp_app --filter name=myapp_db"
    assert ["replicated myapp_app", "replicated myapp_db"] == swarm(
        f"docker stack services {filters} --format '{{{{.Mode}}}} {{{{.Name}}}}' myapp"
    ).splitlines()
    assert 3 == len(swarm("docker stack services -q myapp").split())
    assert "Nothing found in stack: none\n" == swarm.run("docker stack services none").stderr
    assert "nothing found in stack: none" in swarm.refused("docker stack ps none")


def test_prune_removes_what_the_file_does_not_have(swarm: Swarm):
    swarm("docker stack deploy -c docker-compose.yml -c docker-compose.prod.yml vossibility")
    said = swarm("docker stack deploy --prune -c docker-compose.yml vossibility")
    assert "Removing service vossibility_logs" == said.splitlines()[0]
    assert ["vossibility_app", "vossibility_db"] == names(swarm, "vossibility")


def test_several_stacks_are_removed(swarm: Swarm):
    swarm("docker stack deploy -c docker-compose.yml vossibility")
    swarm("docker stack deploy -c compose.yml myapp")
    assert "Removing network vossibility_default" in swarm("docker stack rm myapp vossibility")
    assert ["NAME  SERVICES"] == swarm("docker stack ls").splitlines()
