"""join.json: which cluster to join and with which token, from the command to the node's start.

The file is its owner's alone, so that a token stands on no command line and in no supervisord.conf.
The node removes it once it has joined.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Self

import click

from swarmd.config import NodeConfig
from swarmd.state_dir import PRIVATE_DIR, StateDir, replace_file

VARIABLES: Final = frozenset(
    {
        "SWARMD_JOIN_ADDR",
        "SWARMD_JOIN_TOKEN",
        "SWARMD_JOIN_TOKEN_FILE",
        "SWARMD_AVAILABILITY",
    }
)
"""The options that the file carries, as variables."""


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """What `swarmd join` was told."""

    join_addr: str
    join_token: str = field(repr=False)
    availability: str = "active"

    @classmethod
    def of(cls, config: NodeConfig) -> Self:
        return cls(config.join_addr, config.join_token, config.availability)

    @classmethod
    def load(cls, state_dir: StateDir) -> Self | None:
        """What is on disk; raises click.ClickException for a file that is not one of ours."""
        try:
            return cls(**json.loads(state_dir.join_settings.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError) as error:
            raise click.ClickException(
                f"{state_dir.join_settings} cannot be used ({type(error).__name__}): remove it, and"
                " give --join-addr and --join-token again"
            ) from error

    def save(self, state_dir: StateDir) -> None:
        """Put it on disk; raises OSError."""
        state_dir.root.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        replace_file(state_dir.join_settings, json.dumps(asdict(self)).encode())


def with_join_settings(config: NodeConfig) -> NodeConfig:
    """The options, with what an earlier command left to be joined, where they say nothing."""
    if config.join_addr:
        return config
    found = JoinSettings.load(StateDir(config.state_dir))
    return replace(config, **asdict(found)) if found else config
