"""An address as a QR code for a terminal, so that a phone need not type it."""

from __future__ import annotations

import segno
from rich.text import Text

QUIET_ZONE = 2
"""Light modules around the code. The standard asks for four; every reader is content with two."""

_HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def render_qr_code(address: str) -> Text:
    """Return `address` as a code, two modules above each other per character.

    The colours are said, and not left to the terminal: a code that is light on dark is one that some readers miss.
    """
    rows = [list(row) for row in segno.make_qr(address, error="l").matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines = (
        "".join(_HALVES[bool(upper), bool(lower)] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    )
    return Text("\n".join(lines), style="black on white", no_wrap=True)
