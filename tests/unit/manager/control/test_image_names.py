"""What an image may be called."""

import pytest

from workers.manager.control.image_names import is_image_name

SHA256 = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "nginx:1.25",
        "library/nginx",
        "UPPER/case",
        "docker.io/nginx",
        "index.docker.io/a/b",
        "localhost/a",
        "localhost:5000/a/b:1",
        "[2001:db8::1]:5000/a",
        "a__b.c/d",
        "a--b/c",
        f"img@{SHA256}",
        f"img:1@{SHA256}",
        "img@sha512:" + "0" * 128,
        "img:" + "t" * 128,
        "a" * 237,  # with docker.io/library/ just 255
        "0" * 63,
    ],
)
def test_is_one(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "image:bad:tag:",
        "UPPER",
        "a/UPPER",
        "a b",
        "a\n",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "/a",
        "a//b",
        "a/",
        "img:",
        "img:-tag",
        "img:" + "t" * 129,
        "img@sha256:abc",
        "img@sha256:" + "A" * 64,
        "img@md5:" + "a" * 64,
        "img@",
        "foo_bar:5000/img",
        "{{.Service.Name}}",
        "0" * 64,
        "a" * 238,
        "é",
        "a" * 1_000_000,
    ],
)
def test_is_none(name: str) -> None:
    assert not is_image_name(name)
