"""What a deploy makes of a service that is there already."""

from swarmd import api
from swarmd.ctl.stack_deploy import wanted_spec


def spec(image: str = "nginx", credentials: str = "", forced: int = 0) -> api.ServiceSpec:
    one = api.ServiceSpec()
    one.task.container.image = image
    one.task.force_update = forced
    if credentials:
        one.task.container.pull_options.registry_auth = credentials
    return one


def test_forced_updates_and_credentials_stay():
    there = api.Service(spec=spec(credentials="login", forced=3))
    assert there.spec == wanted_spec(spec(), there, "")
    assert spec("redis", "login", 3) == wanted_spec(spec("redis"), there, "")


def test_new_credentials_take_the_place_of_the_old():
    there = api.Service(spec=spec(credentials="old"))
    assert spec(credentials="new") == wanted_spec(spec(), there, "new")
    assert spec(credentials="new") == wanted_spec(spec(), None, "new")
