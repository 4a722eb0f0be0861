"""A bounded siege: well-behaved clients must not notice the others.

Well-behaved clients keep their connections and check every body. Beside them: clients that reset in the middle of a
body, that read slowly, that send garbage, that say nothing; and files that are replaced and truncated while they are
sent, where no answer may mix two of their versions. Afterwards descriptors and memory must be where they were, the
error log free of tracebacks, the CPU idle. Whoever started the server stops it, and looks at its exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from running import RunningChute

SIZES = (100, 1024, 7000, 16_384, 100_000, 1 << 20)
VALID_S = 1.0
"""The default of `--valid`."""
RESIDENT_GROWTH_MAX = 8 << 20
"""A minute with 200 clients adds one to two MiB: heads seen once are not kept, and every name is known before."""


@dataclass
class Tally:
    """What happened."""

    answers: int = 0
    bytes: int = 0
    resets: int = 0
    slow: int = 0
    garbage: int = 0
    silent: int = 0
    changes: int = 0
    cut: int = 0
    resident_growth: int = 0
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
        body = await self.take(reader, writer, name, cookie)
        assert hashlib.sha256(body).digest() == self.digests[name], f"{name}: wrong bytes"
        self.tally.answers += 1
        self.tally.bytes += len(body)

    async def take(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        field_line: str = "",
    ) -> bytes:
        """Ask for one file and return its content."""
        writer.write(f"GET /{name} HTTP/1.1\r\nHost: a\r\n{field_line}\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await asyncio.wait_for(reader.readexactly(length), 30)

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
        """Send garbage, or half a head, and leave."""
        chance = random.Random(number)
        choices = (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHo", b"GET /\n\n", b"X" * 9000)
        while self.goes_on:
            sock = await self.connect()
            try:
                await self.send(sock, chance.choice(choices))
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(0.05):
                        while await asyncio.get_running_loop().sock_recv(sock, 65536):
                            pass
                self.tally.garbage += 1
            finally:
                sock.close()

    async def say_nothing(self) -> None:
        """Hold a connection for the whole siege without a word."""
        sock = await self.connect()
        try:
            await asyncio.sleep(max(0, self.until - time.monotonic()))
            self.tally.silent += 1
        finally:
            sock.close()

    async def change(self, path: Path) -> None:
        """Replace and truncate a file while it is being sent; each version repeats one byte of its own.

        Truncation is to nothing, because to any other size the kernel also clears the rest of the last folio it
        keeps, and what `sendfile(2)` has queued from there but not delivered becomes zeros on the wire. Its manual page
        warns of that, no server can see it, and here it would look like padding.
        """
        chance = random.Random(0)
        while self.goes_on:
            other = path.with_name(".other")
            letter = bytes([97 + self.tally.changes % 26])
            other.write_bytes(letter * chance.choice((500, 50_000, 800_000)))
            other.rename(path)
            await asyncio.sleep(0.02)
            os.truncate(path, 0)
            await asyncio.sleep(0.02)
            self.tally.changes += 1

    async def watch_changes(self, name: str) -> None:
        """Ask for the file that changes: an answer may be cut short, but never be made of two versions."""
        while self.goes_on:
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                while self.goes_on:
                    body = await self.take(reader, writer, name)
                    if body.strip(body[:1]):
                        self.tally.errors.append(f"{name}: {set(body)!r} in one answer")
            except asyncio.IncompleteReadError as error:
                self.tally.cut += 1
                if error.partial.strip(error.partial[:1]) and not error.partial.startswith(b"HTTP"):
                    self.tally.errors.append(f"{name}: {set(error.partial)!r} in a cut answer")
            except ConnectionError:
                self.tally.cut += 1
            finally:
                writer.close()

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
                group.create_task(self.say_nothing())
                group.create_task(self.watch_changes("changing"))
            group.create_task(self.change(folder / "changing"))


def descriptors_at_rest(chute: RunningChute, names: list[str]) -> int:
    """Count descriptors while nobody is connected and each of `names` has been looked at since it last changed."""
    time.sleep(VALID_S + 0.1)
    for name in names:
        assert chute.get(f"/{name}").status == 200
    time.sleep(0.3)
    return open_now(chute).total()


def besiege(chute: RunningChute, seconds: float, clients: int) -> Tally:
    """Run one siege against `chute`, a server that was just started, and assert that it left no trace."""
    digests = {}
    for size in SIZES:
        content = os.urandom(size)
        (chute.folder / f"f{size}").write_bytes(content)
        digests[f"f{size}"] = hashlib.sha256(content).digest()
    changing = chute.folder / "changing"
    changing.write_bytes(bytes(50_000))
    descriptors = descriptors_at_rest(chute, names := [*digests, changing.name])
    resident = chute.resident_bytes()
    assert isinstance(chute.address, tuple)
    siege = Siege(chute.address, digests, time.monotonic() + seconds)
    asyncio.run(siege.run(clients, chute.folder))
    assert siege.tally.errors == [], siege.tally.errors[:5]
    assert "Traceback" not in chute.errors(), chute.errors()[-2000:]
    changing.write_bytes(bytes(50_000))
    assert descriptors_at_rest(chute, names) <= descriptors, open_now(chute)
    spent = chute.cpu_s()
    time.sleep(1.0)
    assert chute.cpu_s() - spent < 0.1, "busy although nobody asks"
    growth = siege.tally.resident_growth = chute.resident_bytes() - resident
    assert growth < RESIDENT_GROWTH_MAX, f"resident memory grew by {growth >> 20} MiB"
    return siege.tally


def open_now(chute: RunningChute) -> Counter[str]:
    """Count what the server has open by its name, without /dev/null, which it opens when it first reads ahead.

    The numbers that the kernel gives to sockets are left out of their names.
    """
    names: Counter[str] = Counter()
    folder = f"/proc/{chute.pid}/fd"
    for number in os.listdir(folder):
        # One may be closed between its listing and this look at it.
        with contextlib.suppress(FileNotFoundError):
            names[re.sub(r"\[\d+\]", "", os.readlink(f"{folder}/{number}"))] += 1
    del names[os.devnull]
    return names
