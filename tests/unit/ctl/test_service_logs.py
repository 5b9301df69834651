"""What the flags of swarmctl's logs commands mean, and how lines are put together."""

import click
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from swarmd import api
from swarmd.ctl import service_logs
from swarmd.ctl.service_logs import Printer, subscription_options

FLAGS = {"follow": False, "tail": "all", "since": None, "streams": ()}
NOW = 1_700_000_000.0


@pytest.mark.parametrize(("text", "number"), [("all", 0), ("0", -1), ("1", -2), ("100", -101)])
def test_tail_is_told_in_swarmkit_s_way(text: str, number: int):
    assert number == subscription_options(FLAGS | {"tail": text}).tail


@pytest.mark.parametrize("text", ["", "-1", "1.5", "few"])
def test_a_tail_is_a_number_or_all(text: str):
    with pytest.raises(click.BadParameter):
        subscription_options(FLAGS | {"tail": text})


def test_streams_go_by_name():
    options = subscription_options(FLAGS | {"streams": ("stderr",)})
    assert [api.LogStream.LOG_STREAM_STDERR] == options.streams


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14", 1_699_920_000.0),
        ("1h30m", NOW - 5400),
        ("500ms", NOW - 0.5),
    ],
)
def test_since_is_a_time_or_so_long_ago(text: str, seconds: float):
    found: Timestamp = service_logs._since(text, NOW)
    assert seconds == pytest.approx(found.ToNanoseconds() / 1e9)


@pytest.mark.parametrize("text", ["2023-14-14", "yesterday", "-"])
def test_another_since_is_named(text: str):
    with pytest.raises(click.BadParameter, match="is not a"):
        service_logs._since(text, NOW)


class Names:
    """A task's id alone in front."""

    async def of(self, message: api.LogMessage) -> bytes:
        return message.context.task_id.encode() + b": "


async def test_a_line_in_pieces_has_one_name_and_no_other_task_s_line_in_it(capfdbinary):
    printer = Printer(Names())
    for task, text in (("a", b"be"), ("a", b"gun\n"), ("a", b"cut"), ("b", b"x\n"), ("a", b"end")):
        await printer.show(api.LogMessage(context=api.LogContext(task_id=task), data=text))
    printer.end()
    assert b"a: begun\na: cut\nb: x\na: end\n" == capfdbinary.readouterr().out
