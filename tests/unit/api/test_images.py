import pytest

from swarmd.api import images


@pytest.mark.parametrize("image", ["host", "host:latest", "docker.io/library/host:latest"])
def test_the_hosts_own_image_is_known_as_dockers_clients_write_it(image: str):
    assert images.is_host(image)


@pytest.mark.parametrize("image", ["", "busybox", "host:1", "me/host", "hosts:latest"])
def test_every_other_image_is_a_containers(image: str):
    assert not images.is_host(image)
