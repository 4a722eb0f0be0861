"""chute: an HTTP server that serves files as fast as nginx, in pure Python.

Python decides, the kernel carries. The command line is the way in today: `chute serve DIR`.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
