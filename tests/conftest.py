"""What every test stands on."""

import os
import signal

# Terminals are made by a fork, which gRPC's own handlers can hold up for ever.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# A shell that starts the tests in the background has them ignore Ctrl+C, and all that they start:
# nothing could be shown of what an interrupt does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
