"""What all workers share; made before they are forked."""

from __future__ import annotations

from chute.config.model import Config
from chute.files.ledger import Ledger
from chute.static.options import StaticOptions


class Shared:
    """What all workers share."""

    def __init__(self, config: Config) -> None:
        """Make what `config` asks for."""
        self._ledgers: dict[str, Ledger] = {}
        for location in config.all_locations():
            options = location.action
            if not isinstance(options, StaticOptions) or options.uploads is None:
                continue
            # Two locations that take uploads for one folder share its quota; the first names it.
            if options.root not in self._ledgers:
                self._ledgers[options.root] = Ledger(quota_bytes=options.uploads.quota_bytes)

    def ledger_of(self, options: StaticOptions) -> Ledger | None:
        """Return the ledger of the folder that `options` name, if it takes uploads."""
        return None if options.uploads is None else self._ledgers[options.root]

    def close(self) -> None:
        """Give it back, in this process. Idempotent."""
        for ledger in self._ledgers.values():
            ledger.close()
        self._ledgers.clear()
