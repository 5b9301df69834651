"""What every test stands on."""

import signal

# A shell that starts the tests in the background has them ignore Ctrl+C, and all that they start:
# nothing could be shown of what an interrupt does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
