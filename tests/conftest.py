"""What every test stands on."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine can take any time over an example: that says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Terminals are made by a fork, which gRPC's own handlers can hold up for ever.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Nodes of the tests start as installed ones do: with byte code that was kept, in half the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that starts the tests in the background has them ignore Ctrl+C, and all that they start:
# nothing could be shown of what an interrupt does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_REAL = {"integration", "faults", "interop"}
"""Rooms whose tests start real processes: on a busy machine any of them can come too late."""


_LINES = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a test with real processes once more; the summary names each that needed it."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in _REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was wrong the first time: the second may end well, or fail for what is left."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"once more: {report.nodeid}")
        terminalreporter.write_line("\n".join(report.longreprtext.splitlines()[-_LINES:]))
