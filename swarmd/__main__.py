"""The swarmd command, `python -m swarmd` too.

Ctrl+C while Python still imports would end in a traceback: until there is something to stop, it
ends the process as it ends any other.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us knows
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run() -> None:
    """The command line, as the program `swarmd`."""
    from swarmd.cli.main import main  # noqa: PLC0415  that is what may be interrupted

    main(prog_name="swarmd")


if __name__ == "__main__":
    run()
