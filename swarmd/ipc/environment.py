"""The environment variables with which a parent hands a worker its ends of things."""

from typing import Final

PREFIX: Final = "SWARMD_"
STATUS_FD: Final = "SWARMD_STATUS_FD"
"""The descriptor to report on."""

LOCK_FD: Final = "SWARMD_LOCK_FD"
"""The state directory's lock: as long as a worker has it open, no other parent starts."""

ALIVE_SECONDS: Final = "SWARMD_ALIVE_SECONDS"
"""How often to say Alive."""

ORPHAN_SECONDS: Final = "SWARMD_ORPHAN_SECONDS"
"""How long the stop path may take once the parent is gone, and nobody is left to kill."""
