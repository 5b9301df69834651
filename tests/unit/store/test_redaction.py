"""Nothing secret is shown where an object is shown to people."""

from typing import Any

import pytest

from swarmd import api
from swarmd.store.redaction import redacted
from tests import builders

SECRET = b"s3cr3t"
TEXT = SECRET.decode()


def container() -> api.ContainerSpec:
    return builders.container(
        env=[f"TOKEN={TEXT}", "EMPTY"],
        pull_options=api.ContainerSpec.PullOptions(registry_auth=TEXT),
    )


def with_secrets() -> list[Any]:
    service = builders.service(container_spec=container())
    service.previous_spec.CopyFrom(service.spec)
    keys = [api.EncryptionKey(key=SECRET)]
    tokens = api.JoinTokens(worker=TEXT, manager=TEXT)
    cluster = builders.cluster(
        root_ca=api.RootCA(ca_key=SECRET, join_tokens=tokens),
        network_bootstrap_keys=keys,
        unlock_keys=keys,
    )
    cluster.spec.ca_config.signing_ca_key = SECRET
    info = api.VolumeInfo(volume_context={"password": TEXT})
    return [
        cluster,
        builders.secret(data=SECRET),
        builders.config(data=SECRET),
        service,
        builders.task(service),
        builders.volume(volume_info=info),
    ]


@pytest.mark.parametrize("one", with_secrets(), ids=lambda one: type(one).__name__.lower())
def test_nothing_of_it_is_left_and_the_object_itself_stays_as_it_was(one: Any) -> None:
    before = one.SerializeToString()
    assert SECRET in before
    assert SECRET not in redacted(one).SerializeToString()
    assert before == one.SerializeToString()


def test_what_is_no_secret_stays() -> None:
    service = builders.service("web", container_spec=container())
    shown = redacted(service)
    assert "web" == shown.spec.annotations.name
    assert ["TOKEN=REDACTED", "EMPTY=REDACTED"] == list(shown.spec.task.container.env)
    node = builders.node()
    assert redacted(node) is node
