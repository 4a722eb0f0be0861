"""From an `nginx.conf` to a `chute.toml` that says the same: what can be said is carried over, the rest is reported.

    reading       the text, with its includes, as statements (by crossplane)
    translation   the way through them: `translate(path)`
    levels        http, server and location, and what each takes over from the one around it
    directives    which function carries which directive over, and why some need none (`reasons`)

Nothing is dropped in silence. A directive is carried over, or implied by what chute is (a note says why), or left out,
with its file and line. What guards something (`deny`, `auth_request`) and cannot be carried over leaves a location that
answers 403, and what would have been answered by another program one that answers 501: never one that serves the files.
"""

from __future__ import annotations

from chute.config.nginx.statements import LeftOut, Note
from chute.config.nginx.translation import Translation, translate

__all__ = ["LeftOut", "Note", "Translation", "translate"]
