"""Labels of ours on tasks and services: what a leader knows of them, for the next one to read."""

from typing import Final

UPDATE: Final = "swarmd.update"
"""Of a task: the spec version that the update which made it brings."""

RESTART_ATTEMPT: Final = "swarmd.restart.attempt"
RESTART_FAILURES: Final = "swarmd.restart.failures"
RESTART_DELAY: Final = "swarmd.restart.delay"
"""Of a task that replaces another: which restart it is, after how many quick failures, how late."""

RESTART_HELD: Final = "swarmd.restart.held"
"""Of a task that started later still: the seconds that a breaker, or the task before, held it."""

BREAKER: Final = "swarmd.breaker"
"""Of a service: "off" where nothing may hold it."""
