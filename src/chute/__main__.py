"""`python -m chute`: the same as the `chute` command."""

from __future__ import annotations

from chute.cli.main import entry

if __name__ == "__main__":
    entry()
