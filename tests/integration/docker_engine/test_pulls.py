"""Pulls from a registry: who may, what is told where nobody may, and what goes on without it."""

import asyncio
import contextlib
import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_registry
from tests.docker_engine import Dockerd, DockerEngine, registry_auth
from workers.agent.executors.errors import RejectedError

pytestmark = pytest.mark.timeout(60)

_SAID = "from the registry\n"


@contextlib.contextmanager
def registry(daemon: Dockerd, port: int, *words: str) -> Iterator[str]:
    """The name of its image."""
    process = daemon.start_in_network(sys.executable, docker_registry.__file__, str(port), *words)
    assert process.stdout is not None
    try:
        assert "listening\n" == process.stdout.readline()
        yield f"127.0.0.1:{port}/app:v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_an_image_is_pulled(engine: DockerEngine, dockerd: Dockerd) -> None:
    with registry(dockerd, 5001) as image:
        assert _SAID == await engine.output_of(image=image)


async def test_an_image_by_its_digest_is_pulled_once(engine: DockerEngine, dockerd) -> None:
    with registry(dockerd, 5002) as image:
        digest = docker_registry._digest(docker_registry.image()[0])
        by_digest = f"{image.removesuffix(':v1')}@{digest}"
        assert _SAID == await engine.output_of(image=by_digest)
    assert _SAID == await engine.output_of(image=by_digest)


async def test_a_registry_that_is_down_stops_nothing_that_is_here(
    engine: DockerEngine, dockerd: Dockerd
) -> None:
    with registry(dockerd, 5003) as image:
        await engine.output_of(image=image)
    assert _SAID == await engine.output_of(image=image)


async def test_the_spec_says_who_pulls(engine: DockerEngine, dockerd: Dockerd) -> None:
    with registry(dockerd, 5004, "me:secret") as image:
        auth = registry_auth(username="me", password="secret")
        assert _SAID == await engine.output_of(image=image, pull_options={"registry_auth": auth})


async def test_the_nodes_docker_config_says_who_pulls(
    engine: DockerEngine, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auths = {"127.0.0.1:5005": {"auth": b64encode(b"me:secret").decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(dockerd, 5005, "me:secret") as image:
        assert _SAID == await engine.output_of(image=image)


async def test_who_may_not_pull_is_told_so(engine: DockerEngine, dockerd: Dockerd) -> None:
    with registry(dockerd, 5006, "me:secret") as image:
        auth = registry_auth(username="me", password="wrong-one")
        with pytest.raises(RejectedError, match=f"^image: {image}: ") as refused:
            await engine.prepared(image=image, pull_options={"registry_auth": auth})
    assert "wrong-one" not in str(refused.value)


async def test_an_image_that_the_registry_has_not_is_rejected(
    engine: DockerEngine, dockerd: Dockerd
) -> None:
    with registry(dockerd, 5007) as image:
        other = image.replace("app", "other")
        with pytest.raises(RejectedError, match=f"^image: {other}: .*(not found|unknown)"):
            await engine.prepared(image=other)


async def test_credentials_that_cannot_be_read_are_refused(engine: DockerEngine) -> None:
    with pytest.raises(RejectedError, match="registry_auth: cannot be read"):
        await engine.prepared(
            image="127.0.0.1:1/none", pull_options={"registry_auth": "not base64 of anything"}
        )


async def test_a_pull_that_hangs_can_be_left(engine: DockerEngine, dockerd: Dockerd) -> None:
    with registry(dockerd, 5008, "hangs") as image:
        pulling = asyncio.create_task(engine.prepared(image=image))
        done, _ = await asyncio.wait([pulling], timeout=1)
        assert not done
        pulling.cancel()
        await asyncio.wait([pulling], timeout=5)
        assert pulling.cancelled()
        assert "1\n" == await engine.output_of("echo", "1")
