"""Generic resources: what is parsed, and that nothing is given away twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.api.resources import (
    GenericPool,
    GenericResourceError,
    discrete,
    environment,
    named,
    parse,
    wanted,
)

OFFERED = [discrete("fpga", 4), named("gpu", "UUID1"), named("gpu", "UUID2"), named("gpu", "UUID3")]


def test_number_is_discrete_and_words_are_names() -> None:
    assert [discrete("fpga", 2), named("gpu", "UUID1"), named("gpu", "UUID2")] == parse(
        "fpga=2, gpu=UUID1,gpu = UUID2"
    )


def test_quoted_term_may_hold_a_comma() -> None:
    assert [named("gpu", "a,b")] == parse('"gpu=a,b"')


@pytest.mark.parametrize(
    "text", ["", "fpga", "fpga=", "=2", "a=b=c", "fpga=-1", "gpu=1,gpu=red", "a=1,a=2", "a=1\nb=2"]
)
def test_text_that_names_no_resources_is_refused(text: str) -> None:
    if text == "":
        assert [] == parse(text)
        return
    with pytest.raises(GenericResourceError):
        parse(text)


def test_task_gets_that_many_names_and_nobody_else_the_same() -> None:
    pool = GenericPool(OFFERED)
    assert [named("gpu", "UUID1"), named("gpu", "UUID2")] == pool.claim({"gpu": 2})
    assert [named("gpu", "UUID3")] == pool.claim({"gpu": 1})
    assert not pool.fits({"gpu": 1})


def test_released_names_are_given_again() -> None:
    pool = GenericPool(OFFERED)
    held = pool.claim({"gpu": 3})
    pool.release(held[1:2])
    assert held[1:2] == pool.claim({"gpu": 1})


def test_kind_the_node_lacks_fits_nothing_not_even_zero() -> None:
    assert not GenericPool(OFFERED).fits({"tpu": 0})


def test_capacity_is_how_many_tasks_fit() -> None:
    pool = GenericPool(OFFERED)
    assert 1 == pool.capacity({"fpga": 1, "gpu": 2}, most=9)
    assert 9 == pool.capacity({}, most=9)
    assert 0 == pool.capacity({"fpga": 5}, most=9)


def test_claiming_too_much_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        GenericPool(OFFERED).claim({"fpga": 5})


def test_shrunk_node_has_nothing_free_until_enough_is_released() -> None:
    pool = GenericPool([discrete("fpga", 1)])
    pool.take([discrete("fpga", 3)])
    assert 0 == pool.free("fpga")
    pool.release([discrete("fpga", 2)])
    assert 0 == pool.free("fpga")
    pool.release([discrete("fpga", 1)])
    assert 1 == pool.free("fpga")


def test_kinds_are_summed_over_a_reservation_and_names_are_none_of_its_business() -> None:
    asked = [discrete("fpga", 1), discrete("fpga", 2), named("gpu", "UUID1")]
    assert {"fpga": 3} == wanted(asked)


def test_environment_names_what_the_task_was_given() -> None:
    given_ = [discrete("fpga", 2), named("gpu", "a"), named("gpu", "b")]
    told = environment(given_, "DOCKER_RESOURCE")
    assert {"DOCKER_RESOURCE_FPGA": "2", "DOCKER_RESOURCE_GPU": "a,b"} == told


@given(
    steps=st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(["fpga", "gpu"]), st.integers(0, 3), max_size=2),
            st.integers(0, 20),
        ),
        max_size=40,
    )
)
def test_claims_never_exceed_what_is_offered_and_all_of_it_comes_back(steps) -> None:
    pool, held = GenericPool(OFFERED), []
    for step in steps:
        if isinstance(step, int):
            if held:
                pool.release(held.pop(step % len(held)))
        elif pool.fits(step):
            held.append(pool.claim(step))
        names = [
            r.named_resource_spec.value
            for claim in held
            for r in claim
            if r.named_resource_spec.value
        ]
        assert len(set(names)) == len(names)
        assert 3 - len(names) == pool.free("gpu")
        fpgas = sum(r.discrete_resource_spec.value for claim in held for r in claim)
        assert 4 - fpgas == pool.free("fpga")
        assert 4 >= fpgas
    for claim in held:
        pool.release(claim)
    assert (4, 3) == (pool.free("fpga"), pool.free("gpu"))
