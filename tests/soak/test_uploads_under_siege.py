"""Uploads, archives and compressed forms, all at once, with clients that leave in the middle of them.

Invariant: what has a name is whole, what was given up has left nothing, and the server is as small as it was.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from running import RunningChute, start_chute, wait_until

SECONDS = 6
SIZES = (0, 1, 10, 1000, 524_288, 600_000, 2_000_000)
TEXT = b"a line of a text that shrinks\n" * 30_000


class Siege:
    """Clients of one server, until it is over."""

    def __init__(self, server: RunningChute) -> None:
        self.server = server
        self.ends_s = time.monotonic() + SECONDS
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def besiege(self, seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < self.ends_s:
            act = chance.choice([self.upload, self.upload, self.upload, self.archive, self.form])
            try:
                with socket.create_connection(self.server.address, timeout=10) as sock:
                    self.counts[act(sock, chance)] += 1
            except (OSError, AssertionError) as error:
                self.faults.append(f"{act.__name__}: {error!r}")

    def upload(self, sock: socket.socket, chance: random.Random) -> str:
        content = bytes([chance.randrange(256)]) * chance.choice(SIZES)
        body, framing = content, b"Content-Length: %d" % len(content)
        if chance.random() < 0.5:
            cuts = range(0, len(content), chance.randint(1000, 200_000))
            step = cuts.step
            parts = [content[start : start + step] for start in cuts]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            framing = b"Transfer-Encoding: chunked"
        name = chance.randrange(6)
        sock.sendall(b"PUT /u%d HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (name, framing))
        if chance.random() < 0.3:
            sock.sendall(body[: chance.randint(0, len(body))])
            if chance.random() < 0.5:  # the end by a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return "given up"
        sock.sendall(body)
        sock.sendall(b"GET /there HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while data := sock.recv(65_536):
            received += data
        assert received[:12] in (b"HTTP/1.1 201", b"HTTP/1.1 204"), received[:200]
        assert received.endswith(b"\r\n\r\nthere"), received[-200:]
        return "uploaded"

    def archive(self, sock: socket.socket, chance: random.Random) -> str:
        kind = chance.choice([b"tar", b"zip"])
        sock.sendall(b"GET /?archive=%b HTTP/1.1\r\nHost: a\r\n\r\n" % kind)
        for _ in range(chance.randint(0, 30)):
            if not sock.recv(chance.choice([100, 65_536])):
                break
        return "archive"

    def form(self, sock: socket.socket, chance: random.Random) -> str:
        coding = chance.choice([b"gzip", b"br", b"zstd", b"gzip, identity;q=0"])
        sock.sendall(b"GET /text.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %b\r\n\r\n" % coding)
        sock.recv(chance.choice([1, 100_000]))
        return "form"


@pytest.mark.soak
def test_uploads_archives_and_forms_under_siege(folder: Path, tmp_path: Path):
    (folder / "there").write_bytes(b"there")
    (folder / "text.txt").write_bytes(TEXT)
    for number in range(30):
        (folder / f"f{number}").write_bytes(os.urandom(30_000))
    server = start_chute(folder, tmp_path, "--upload", "--overwrite", "--archives")
    before = server.descriptors()
    siege = Siege(server)
    clients = [threading.Thread(target=siege.besiege, args=(seed,)) for seed in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert siege.faults == []
    assert min(siege.counts[act] for act in ("uploaded", "given up", "archive", "form")) > 5
    # What remains: the forms that were made, and the file they were made of.
    wait_until(lambda: server.descriptors() <= before + 10, within_s=10, what="the clean-up")
    for path in folder.iterdir():
        assert not path.name.startswith("."), "something was left behind"
        if path.name.startswith("u"):
            content = path.read_bytes()
            assert len(content) in SIZES
            assert len(set(content)) <= 1, "two uploads in one file"
    assert server.resident_bytes() < 200 << 20
    assert server.stop() == 0
    assert "Traceback" not in server.errors()
