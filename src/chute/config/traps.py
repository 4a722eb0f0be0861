"""What can be meant but is seldom wanted."""

from __future__ import annotations

from chute.config.model import Config


def find_traps(config: Config, file: str) -> list[str]:
    """Return the traps in `config`, which was read from `file`, in words."""
    del config, file
    return []
