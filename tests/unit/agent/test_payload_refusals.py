"""A template that cannot be filled in is refused, and nothing of what is in it is told."""

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import RejectedError
from workers.agent.payloads import Payloads

HIDDEN = "correct-horse"
GOLANG = api.Driver(name="golang")


@pytest.mark.parametrize("kind", ["secret", "config"])
@pytest.mark.parametrize(
    "template",
    [
        '{{ secret "another" }}',
        '{{ index (secret "key") "a" }}',
        '{{ (secret "key").Field }}',
        '{{ eq (secret "key") 1 }}',
        '{{ secret (secret "key") }}',
        "{{ correct-horse }}",
        "{{ unclosed correct-horse",
    ],
)
def test_a_refusal_says_what_is_wrong_with_nothing_that_is_in_it(kind: str, template: str):
    key = builders.secret(data=HIDDEN.encode())
    templated = getattr(builders, kind)(data=template.encode())
    templated.spec.templating.CopyFrom(GOLANG)
    spec = builders.container()
    spec.secrets.add(secret_id=key.id, file=api.FileTarget(name="key"))
    secrets = {key.id: key} | ({templated.id: templated} if kind == "secret" else {})
    configs = {templated.id: templated} if kind == "config" else {}
    task = builders.task(builders.service(container_spec=spec))
    payloads = Payloads(task, spec, api.Node(), Dependencies(secrets, configs))
    with pytest.raises(RejectedError) as refused:
        getattr(payloads, kind)(templated.id)
    said = str(refused.value)
    assert templated.spec.annotations.name in said
    assert not [word for word in ("correct", "horse") if word in said]
