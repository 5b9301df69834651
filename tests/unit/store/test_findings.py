"""What does not fit together in a store is said, each in a sentence; a sound one has none."""

from typing import Any

import pytest

from swarmd import api
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.errors import CorruptStateError
from swarmd.security.root_ca import RootCA
from swarmd.store import Loaded, Row
from swarmd.store.findings import findings
from swarmd.store.tables import ALL_KINDS
from tests import builders

NAMES = {kind.message: kind.name for kind in ALL_KINDS}
ROOT = RootCA.create(1_800_000_000.0)
State = api.TaskState


def loaded(*objects: Any) -> Loaded:
    rows = []
    for one in objects:
        one.meta.version.index = 7
        rows.append(Row(NAMES[type(one)], one.id, 7, one.SerializeToString()))
    return Loaded(9, rows)


def sound() -> list[Any]:
    root = api.RootCA(ca_cert=ROOT.certificate_pem, ca_key=ROOT.key_pem)
    return [builders.cluster(root_ca=root), builders.node(role=api.NodeRole.MANAGER)]


def found(*objects: Any) -> list[str]:
    return findings(loaded(*sound(), *objects), "the store")


def test_a_sound_store_has_none() -> None:
    node, secret, config = builders.node(), builders.secret(), builders.config()
    container = builders.container(
        secrets=[api.SecretReference(secret_id=secret.id)],
        configs=[api.ConfigReference(config_id=config.id)],
    )
    service = builders.service(container_spec=container)
    task = builders.task(service, node_id=node.id, state=State.RUNNING)
    assert [] == found(node, secret, config, service, task, Breaker(id=service.id))


def test_a_task_of_a_service_or_a_node_that_is_gone() -> None:
    task = builders.task(service_id="gone", node_id="lost", state=State.RUNNING)
    assert [
        f"task {task.id} is of service gone, which is not there",
        f"task {task.id} is on node lost, which is not there",
    ] == found(task)


@pytest.mark.parametrize(
    "fields", [{"state": State.ORPHANED}, {"state": State.RUNNING, "desired_state": State.REMOVE}]
)
def test_history_and_what_is_on_its_way_out_may_refer_to_what_is_gone(fields: dict) -> None:
    assert [] == found(builders.task(service_id="gone", node_id="lost", **fields))


def test_a_service_whose_secret_or_config_is_gone() -> None:
    container = builders.container(
        secrets=[api.SecretReference(secret_id="s1")], configs=[api.ConfigReference(config_id="c1")]
    )
    service = builders.service(container_spec=container)
    assert [
        f"service {service.id} needs secret s1, which is not there",
        f"service {service.id} needs config c1, which is not there",
    ] == found(service)


def test_a_task_whose_volume_is_gone_and_a_breaker_of_nothing() -> None:
    task = builders.task(volumes=[api.VolumeAttachment(id="v1")])
    assert [
        f"task {task.id} needs volume v1, which is not there",
        "breaker b1 is of a service that is not there",
    ] == found(task, Breaker(id="b1"))


def test_two_of_one_name_without_case() -> None:
    one, other = builders.secret("Key"), builders.secret("key")
    (sentence,) = found(one, other)
    assert f"secret {other.id} and secret {one.id} both have the name key" == sentence


def test_an_object_that_says_another_version_than_it_is_kept_at() -> None:
    whole = loaded(*sound(), builders.secret())
    whole.rows[-1] = whole.rows[-1]._replace(version=8)
    assert [f"secret {whole.rows[-1].id} is kept at version 8, and says 7"] == findings(whole)


def test_no_cluster_no_manager_and_a_root_that_cannot_sign() -> None:
    assert ["there is no cluster object"] == findings(loaded())
    no_manager, cannot_sign = findings(loaded(builders.cluster()))
    assert "no node is a manager" == no_manager
    assert cannot_sign.startswith("the root CA cannot sign: ")


def test_a_row_that_cannot_belong_there_is_damage() -> None:
    secret = builders.secret()
    secret.meta.version.index = 10
    row = Row("secret", secret.id, 10, secret.SerializeToString())
    for bad in (row, row._replace(id="other"), row._replace(kind="x"), row._replace(data=b"\xff")):
        with pytest.raises(CorruptStateError, match="the store"):
            findings(Loaded(9, [bad]), "the store")
