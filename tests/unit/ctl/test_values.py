"""What the text of a flag means."""

import click
import pytest

from swarmd.ctl.values import (
    PairStrings,
    Strings,
    duration,
    flat,
    memory_bytes,
    nano_cpus,
    options,
    pairs,
)


def strings(*texts: str) -> list[str]:
    return flat(Strings().convert(text, None, None) for text in texts)


def test_a_list_is_comma_separated_and_repeats():
    assert ["a", "b", "c"] == strings("a,b", "c")


def test_a_quoted_comma_is_part_of_a_value():
    assert ["a,b", "c"] == strings('"a,b",c')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1,B=2", ("A=1", "B=2")),
        ("LIST=a,b", ("LIST=a,b",)),
        ("A=1,B=2,c", ("A=1,B=2,c",)),
        ("A", ("A",)),
        ("A=", ("A=",)),
    ],
)
def test_a_comma_parts_pairs_only_where_each_has_a_key(text: str, expected: tuple[str, ...]):
    assert expected == PairStrings().convert(text, None, None)


def test_labels_are_pairs():
    assert {"a": "1", "b": "x=y"} == pairs(["a=1", "b=x=y"], "--label")


def test_a_label_without_a_value_is_refused():
    with pytest.raises(click.BadParameter, match="'a' is not KEY=VALUE"):
        pairs(["a"], "--label")


def test_options_may_lack_a_value():
    assert {"a": "1", "b": ""} == options(["a=1", "b"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", 512), ("4k", 4096), ("512m", 512 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30)],
)
def test_sizes_are_powers_of_1024(text: str, expected: int):
    assert expected == memory_bytes(text, "--memory-limit")


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1.5.2g"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(click.BadParameter, match="is not a size"):
        memory_bytes(text, "--memory-limit")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1h30m", 5400), ("300ms", 0.3), ("0s", 0), ("-1s", -1)]
)
def test_durations_are_gos(text: str, seconds: float):
    assert seconds == duration(text, "--restart-delay").ToTimedelta().total_seconds()


def test_what_is_no_duration_is_refused():
    with pytest.raises(click.BadParameter, match="'5 parsecs' is not a duration"):
        duration("5 parsecs", "--restart-delay")


def test_cpus_are_counted_in_billionths():
    assert 500_000_000 == nano_cpus("0.5", "--cpu-limit")


@pytest.mark.parametrize("text", ["0.0000000001", "many", "nan", "inf"])
def test_what_is_no_number_of_cores_is_refused(text: str):
    with pytest.raises(click.BadParameter):
        nano_cpus(text, "--cpu-limit")
