"""What a run needs around it: the files that are served, an environment for the peers, a port.

Everything lands in `.bench/` at the root of the repository and is made once.
"""

from __future__ import annotations

import hashlib
import random
import resource
import socket
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BENCH_HOME = REPOSITORY / ".bench"
SITE = BENCH_HOME / "site"
_VENV = BENCH_HOME / "venv"
VENV_PYTHON = _VENV / "bin" / "python"

_INSTALL_SECONDS = 180
_CHUNK = 1024 * 1024


def site_file(name: str, size: int) -> Path:
    """Return a file of the served site, made of `size` bytes that no server could compress."""
    path = SITE / name
    if not path.exists() or path.stat().st_size != size:
        SITE.mkdir(parents=True, exist_ok=True)
        source = random.Random(size)
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK):
                file.write(source.randbytes(min(_CHUNK, size - start)))
    return path


@cache
def digest(path: Path) -> str:
    """The SHA-256 of a file of the site."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def install(packages: tuple[str, ...]) -> str:
    """Install a peer into `.bench/venv`; returns why that failed, or an empty string."""
    stamp = _VENV / f".installed-{packages[0]}"
    if stamp.exists():
        return ""
    print(f"installing {', '.join(packages)} into {_VENV.relative_to(REPOSITORY)}", file=sys.stderr)
    try:
        if not VENV_PYTHON.exists():
            venv.create(_VENV, with_pip=True)
        pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run(
            [*pip, "--retries", "1", *packages],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.startswith("ERROR")]
        return f"could not be installed: {lines[-1] if lines else 'pip failed'}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"could not be installed: {error}"
    stamp.touch()
    return ""


def installed_version(package: str) -> str:
    """The version of a package in the peers' environment."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    return first_line([str(VENV_PYTHON), "-c", code, package])


def first_line(argv: list[str], environment: dict[str, str] | None = None) -> str:
    """The first line that a command prints, or an empty string when it fails."""
    try:
        # Some programs, nginx among them, print their version to standard error.
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=20,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def raise_descriptor_limit() -> int:
    """Allow us, and all we start, as many descriptors as we may have; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
