"""What a task finds in its secrets and configs."""

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import RejectedError
from workers.agent.payloads import Payloads

KEY = builders.secret("key", data=b"hush")
PLAIN = builders.config("plain", data=b"{{.Service.Name}}")


def templated(text: bytes, language: str = "golang") -> api.Config:
    config = builders.config("filled", data=text)
    config.spec.templating.name = language
    return config


def payload(config: api.Config) -> bytes:
    spec = builders.container(
        env=["A=1"],
        secrets=[{"secret_id": KEY.id, "file": {"name": "key.txt"}}],
        configs=[{"config_id": PLAIN.id, "file": {"name": "plain.txt"}}],
    )
    task = builders.task(service=builders.service(name="web", container_spec=spec))
    dependencies = Dependencies({KEY.id: KEY}, {each.id: each for each in (config, PLAIN)})
    return Payloads(task, spec, api.Node(), dependencies).config(config.id)


def test_data_is_as_it_was_given_unless_it_is_a_template() -> None:
    assert b"{{.Service.Name}}" == payload(PLAIN)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        (b"{{.Service.Name}}", b"web"),
        (b'{{env "A"}}{{env "B"}}', b"1"),
        (b'{{secret "key.txt"}}', b"hush"),
        (b'{{config "plain.txt"}}', b"{{.Service.Name}}"),
        (b"\xff{{.Service.Name}}\xfe", b"\xffweb\xfe"),
    ],
)
def test_a_template_is_filled_in(text: bytes, filled: bytes) -> None:
    assert filled == payload(templated(text))


@pytest.mark.parametrize("text", [b'{{secret "other"}}', b'{{config "other"}}', b"{{.Nothing}}"])
def test_a_template_that_cannot_be_filled_in_is_refused(text: bytes) -> None:
    with pytest.raises(RejectedError, match="configs: filled: "):
        payload(templated(text))


def test_no_refusal_shows_what_is_in_a_secret() -> None:
    with pytest.raises(RejectedError) as refused:
        payload(templated(b'{{index (secret "key.txt") 99}}'))
    assert "hush" not in str(refused.value)


def test_another_language_is_refused() -> None:
    with pytest.raises(RejectedError, match="no templates of kind 'jinja'"):
        payload(templated(b"x", language="jinja"))
