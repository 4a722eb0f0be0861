"""Make the download of the example site: a file large enough to interrupt and resume.

The content is the output of SHAKE-256 over a fixed seed and a block number, so every machine makes
the same bytes, nothing compresses them, and a copy can be checked against SHA256SUMS.
Running it again changes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

DOWNLOADS = Path(__file__).resolve().parent / "site" / "downloads"
SAMPLE_NAME = "sample-8MiB.bin"
BLOCK_BYTES = 1 << 20
BLOCKS = 8


def sample_content() -> bytes:
    """Return the bytes of the sample, the same on every machine."""
    return b"".join(
        hashlib.shake_256(b"chute sample, block %d" % block).digest(BLOCK_BYTES)
        for block in range(BLOCKS)
    )


def write_if_different(path: Path, content: bytes) -> None:
    """Write `content` unless `path` holds it; a reader sees the old file or the new one, whole."""
    if path.is_file() and path.read_bytes() == content:
        return
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def main() -> None:
    """Make the downloads folder complete."""
    DOWNLOADS.mkdir(exist_ok=True)
    content = sample_content()
    write_if_different(DOWNLOADS / SAMPLE_NAME, content)
    sums = f"{hashlib.sha256(content).hexdigest()}  {SAMPLE_NAME}\n"
    write_if_different(DOWNLOADS / "SHA256SUMS", sums.encode())


if __name__ == "__main__":
    main()
