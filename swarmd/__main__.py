"""The swarmd command, `python -m swarmd` too.

Ctrl+C while Python still imports would end in a traceback: until there is something to stop, it
ends the process as it ends any other.
"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us knows
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run() -> None:
    """The command line, as the program `swarmd`."""
    if sys.argv[1:2] == ["run"]:
        # The parent speaks no TLS. asyncio does without, and has OpenSSL's 5 MiB left out.
        sys.modules["ssl"] = None  # type: ignore[assignment]
    from swarmd.cli.main import main  # noqa: PLC0415  that is what may be interrupted

    main(prog_name="swarmd")


if __name__ == "__main__":
    run()
