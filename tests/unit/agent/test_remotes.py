"""Which manager is tried."""

from collections import Counter
from random import Random

import pytest

from swarmd.errors import CannotBootError, UnavailableError
from workers.agent import peers_file
from workers.agent.remotes import BAD, GOOD, Remote, Remotes

A, B, C = (Remote(name, f"10.0.0.{name}:4242") for name in "123")


def chosen(remotes: Remotes, times: int = 1000) -> Counter[Remote]:
    return Counter(remotes.select() for _ in range(times))


def test_a_weight_moves_half_of_the_way_to_each_experience() -> None:
    remotes = Remotes(Random(0), [A])
    seen = []
    for weight in (10, 10, -10, -10, 1000, -1000, -1000):
        remotes.observe(A, weight)
        seen.append(remotes.weights[A])
    assert [8, 9, 0, -5, 126, -65, -160] == seen


def test_good_managers_are_chosen_by_weight_and_bad_ones_hardly_ever() -> None:
    remotes = Remotes(Random(0), [A, B, C])
    for _ in range(5):
        remotes.observe(C, BAD)
    times = chosen(remotes)
    assert times[C] < 10
    assert 400 < times[A] < 600


def test_a_bad_one_is_tried_where_there_is_no_other() -> None:
    remotes = Remotes(Random(0), [A])
    remotes.observe(A, BAD)
    remotes.observe(A, BAD)
    assert A == remotes.select()


def test_a_near_manager_is_preferred_while_it_answers() -> None:
    remotes = Remotes(Random(0), [A, B])
    remotes.prefer(["127.0.0.1:4242"])
    near = Remote("", "127.0.0.1:4242")
    assert {near: 1000} == chosen(remotes)
    remotes.observe(near, BAD)
    assert chosen(remotes)[near] < 10
    remotes.prefer(["127.0.0.1:4242"])
    assert {near: 1000} == chosen(remotes)


def test_managers_that_are_no_longer_named_are_forgotten() -> None:
    remotes = Remotes(Random(0), [A, B])
    remotes.prefer(["127.0.0.1:4242"])
    remotes.keep([B])
    assert {B, Remote("", "127.0.0.1:4242")} == set(remotes.weights)
    remotes.observe_known(A, GOOD)
    assert A not in remotes.weights


async def test_without_any_there_is_none_to_try() -> None:
    with pytest.raises(UnavailableError, match="no manager"):
        Remotes(Random(0)).select()


def test_the_file_has_swarmkits_form(tmp_path) -> None:
    path = tmp_path / "state.json"
    peers_file.save(path, [B, A, Remote("", "host:1")])
    expected = (
        '[{"addr": "host:1"}, {"node_id": "1", "addr": "10.0.0.1:4242"},'
        ' {"node_id": "2", "addr": "10.0.0.2:4242"}]'
    )
    assert expected == path.read_text()
    assert [Remote("", "host:1"), A, B] == peers_file.load(path)


def test_no_file_and_gos_empty_list_are_no_managers(tmp_path) -> None:
    assert [] == peers_file.load(tmp_path / "state.json")
    (tmp_path / "null.json").write_text("null")
    assert [] == peers_file.load(tmp_path / "null.json")


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '["x"]', '[{"addr": 3}]', "[{}]", "\udcff"])
def test_a_damaged_file_is_refused_and_named(tmp_path, text) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(CannotBootError, match=r"state\.json"):
        peers_file.load(path)
