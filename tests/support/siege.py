"""A bounded siege: well-behaved clients must not notice the others.

Well-behaved clients keep their connections and check every body. Beside them: clients that reset in the middle of a
body, that read slowly, that send garbage, that say nothing; and files that are replaced and truncated while they are
sent. Afterwards descriptors and memory must be where they were, the error log free of tracebacks, the CPU idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from running import RunningChute, wait_until

SIZES = (100, 1024, 7000, 16_384, 100_000, 1 << 20)
RESIDENT_GROWTH_MAX = 24 << 20
"""Plans and heads may fill up to 64 MiB; this many distinct requests stay far below."""


@dataclass
class Tally:
    """What happened."""

    answers: int = 0
    bytes: int = 0
    resets: int = 0
    slow: int = 0
    garbage: int = 0
    errors: list[str] = field(default_factory=list)


class Siege:
    """All clients of one run."""

    def __init__(self, address: tuple[str, int], digests: dict[str, bytes], until: float) -> None:
        self.address = address
        self.digests = digests
        self.until = until
        self.tally = Tally()

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    async def behave(self, number: int) -> None:
        """Keep a connection for some requests, check every byte, begin anew."""
        chance = random.Random(number)
        while self.goes_on:
            try:
                reader, writer = await asyncio.open_connection(*self.address)
                for _ in range(chance.randint(1, 30)):
                    if not self.goes_on:
                        break
                    await self.ask(reader, writer, chance)
                writer.close()
                await writer.wait_closed()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must be counted
                self.tally.errors.append(repr(error))

    async def ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random
    ) -> None:
        name = chance.choice(list(self.digests))
        cookie = f"Cookie: id={chance.random()}\r\n" if chance.random() < 0.5 else ""
        writer.write(f"GET /{name} HTTP/1.1\r\nHost: a\r\n{cookie}\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await asyncio.wait_for(reader.readexactly(length), 30)
        assert hashlib.sha256(body).digest() == self.digests[name], f"{name}: wrong bytes"
        self.tally.answers += 1
        self.tally.bytes += length

    async def reset(self, number: int) -> None:
        """Ask for a large file and reset in the middle of it."""
        chance = random.Random(number)
        while self.goes_on:
            sock = await self.connect()
            try:
                await self.send(sock, b"GET /f1048576 HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.get_running_loop().sock_recv(sock, chance.randint(1, 200_000))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.tally.resets += 1
            finally:
                sock.close()
            await asyncio.sleep(chance.random() * 0.05)

    async def crawl(self) -> None:
        """Read at about ten kilobytes a second."""
        while self.goes_on:
            sock = await self.connect(receive_buffer=4096)
            try:
                await self.send(sock, b"GET /f1048576 HTTP/1.1\r\nHost: a\r\n\r\n")
                while self.goes_on:
                    if not await asyncio.get_running_loop().sock_recv(sock, 1024):
                        break
                    await asyncio.sleep(0.1)
                self.tally.slow += 1
            finally:
                sock.close()

    async def babble(self, number: int) -> None:
        """Send garbage, or half a head, or nothing; or ask for what is being changed."""
        chance = random.Random(number)
        choices = [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHo", b"GET /\n\n", b"X" * 9000]
        choices += [b"GET /changing HTTP/1.1\r\nHost: a\r\n\r\n"] * 3
        while self.goes_on:
            sock = await self.connect()
            try:
                await self.send(sock, chance.choice(choices))
                try:
                    async with asyncio.timeout(0.05):
                        while await asyncio.get_running_loop().sock_recv(sock, 65536):
                            pass
                except (TimeoutError, ConnectionError):
                    pass
                self.tally.garbage += 1
            finally:
                sock.close()

    async def change(self, path: Path) -> None:
        """Replace, grow and truncate a file while it is being sent."""
        while self.goes_on:
            other = path.with_name(".other")
            other.write_bytes(os.urandom(random.choice((500, 50_000, 800_000))))
            other.rename(path)
            await asyncio.sleep(0.02)
            os.truncate(path, 100)
            await asyncio.sleep(0.02)

    async def connect(self, receive_buffer: int = 0) -> socket.socket:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self.address)
        return sock

    async def send(self, sock: socket.socket, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(sock, data)

    async def run(self, clients: int, folder: Path) -> None:
        few = max(1, clients // 20)
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self.behave(number))
            for number in range(few):
                group.create_task(self.reset(number))
                group.create_task(self.crawl())
                group.create_task(self.babble(number))
            group.create_task(self.change(folder / "changing"))


def besiege(chute: RunningChute, seconds: float, clients: int) -> Tally:
    """Run one siege against `chute` and assert that it left no trace."""
    digests = {}
    for size in SIZES:
        content = os.urandom(size)
        (chute.folder / f"f{size}").write_bytes(content)
        digests[f"f{size}"] = hashlib.sha256(content).digest()
    (chute.folder / "changing").write_bytes(bytes(1000))
    for name in digests:
        assert chute.get(f"/{name}").status == 200
    descriptors, resident = chute.descriptors(), chute.resident_bytes()
    assert isinstance(chute.address, tuple)
    siege = Siege(chute.address, digests, time.monotonic() + seconds)
    asyncio.run(siege.run(clients, chute.folder))
    assert siege.tally.errors == [], siege.tally.errors[:5]
    wait_until(
        lambda: chute.descriptors() <= descriptors + len(SIZES) + 1,
        within_s=10,
        what=f"descriptors back at {descriptors}",
    )
    growth = chute.resident_bytes() - resident
    assert growth < RESIDENT_GROWTH_MAX, f"resident memory grew by {growth >> 20} MiB"
    assert "Traceback" not in chute.errors(), chute.errors()[-2000:]
    spent = chute.cpu_s()
    time.sleep(1.0)
    assert chute.cpu_s() - spent < 0.2, "busy although nobody asks"
    return siege.tally
