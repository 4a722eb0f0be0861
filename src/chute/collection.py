"""Python's garbage collector, told to wait while much is made that is to stay.

Every some hundred new objects the collector looks at the youngest ones, and now and then at all of them, in case some
refer to each other in circles. While a configuration is read, nothing becomes garbage and everything becomes older: a
thousand sites with fifty locations each take 1.9 s to load without collections, and 4.9 s with them.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Let the collector rest; what has been made meanwhile is not looked at again (`gc.freeze`)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
