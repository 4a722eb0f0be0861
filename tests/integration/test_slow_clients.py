"""What counts as progress: bytes that the peer acknowledged, not room in our send buffer."""

from __future__ import annotations

import time
from pathlib import Path

from running import Serve


def test_t30_client_slower_than_the_send_buffer_is_patient_is_served(serve: Serve, folder: Path):
    """At 250 KB/s a send buffer of megabytes reports no room for many time-outs, and yet the client reads."""
    with (folder / "big.bin").open("wb") as file:
        file.truncate(16 << 20)
    chute = serve("--send-timeout", "0.6")
    with chute.connect(receive_buffer=65536) as wire:
        wire.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.read_head().status == 200
        received = 0
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            data = wire.sock.recv(8192)
            assert data, "cut off"
            received += len(data)
            time.sleep(0.03)
        assert chute.errors().count("timed out") == 0
        while received + len(wire.pending) < 16 << 20:
            data = wire.sock.recv(1 << 20)
            assert data, "cut off"
            received += len(data)
    assert chute.log_lines(1)[0].endswith("complete")
