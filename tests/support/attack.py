"""One attack of an onslaught: all its clients, and the loop that drives them.

One process drives all of them by hand: epoll, non-blocking sockets, one buffer to receive into. Client and server share
two processors, and asyncio streams would cost more than the server that they measure.
"""

from __future__ import annotations

import random
import select
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from attackers import (
    KIB,
    MIB,
    Client,
    CrawlingClient,
    HonestClient,
    ResettingClient,
    Wanted,
    WrongAnswerError,
)

MISBEHAVING_SHARE = 0.05
"""How many of the connections reset, and as many again read slowly."""
RESET_AFTER_MAX = 300_000
ROOM_BYTES = 256 * KIB
TICK_S = 0.1
EVENTS_MAX = 256
ERRORS_MAX = 20


@dataclass
class Facts:
    """What happened in one attack.

    Attributes:
        descriptors: of the server, with everybody connected.
        carried: honest answers by the method that the access log gives.
    """

    connections: int
    answers: int = 0
    ranges: int = 0
    bytes: int = 0
    resets: int = 0
    crawlers: int = 0
    crawled_bytes: int = 0
    elapsed_s: float = 0.0
    server_cpu_s: float = 0.0
    descriptors: int = 0
    resident_growth: int = 0
    carried: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ways = ", ".join(f"{count} by {way}" for way, count in self.carried.most_common())
        text = (
            f"{self.answers} answers over {self.connections} connections, {self.bytes / 2**30:.2f} GiB, "
            f"{self.ranges} ranges, {ways}; {len(self.errors)} errors; {self.elapsed_s:.1f} s, "
            f"server CPU {self.server_cpu_s:.1f} s, {self.descriptors} descriptors at the height, "
            f"memory {self.resident_growth / MIB:+.1f} MiB"
        )
        if self.crawlers:
            rate = self.crawled_bytes / self.crawlers / max(self.elapsed_s, TICK_S) / 1000
            text += (
                f"; beside them {self.resets} resets and {self.crawlers} readers at {rate:.1f} KB/s"
            )
        return text


class Attack:
    """Clients that are all connected before the first of them asks, and stay until the last answer has come."""

    def __init__(
        self, address: tuple[str, int], large: bytes, connections: int, *, misbehaving: bool
    ) -> None:
        """Connect everybody; `close` must be called in the end.

        Args:
            address: of the server.
            large: the content of `/large`, for clients that do not read to its end.
            connections: of all clients together.
            misbehaving: whether some of them reset, and as many read slowly.
        """
        self.address = address
        self.large = large
        self.facts = Facts(connections)
        self.room = bytearray(ROOM_BYTES)
        self.view = memoryview(self.room)
        self.poll = select.epoll()
        self.clients: dict[int, HonestClient | ResettingClient] = {}
        self.crawling: list[CrawlingClient] = []
        self.supply: Iterator[Wanted] = iter(())
        self.chance = random.Random(2)
        self.asking = 0
        self.resetting = 0
        few = max(1, round(connections * MISBEHAVING_SHARE)) if misbehaving else 0
        try:
            for _ in range(connections - 2 * few):
                self.join(HonestClient(address))
            for _ in range(few):
                self.join(self.another_resetting())
                self.crawling.append(CrawlingClient(address, large))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave, politely where an answer was read to its end."""
        for client in [*self.clients.values(), *self.crawling]:
            client.sock.close()
        self.poll.close()

    def run(self, supply: Iterator[Wanted], give_up_s: float) -> Facts:
        """Ask for all of `supply`, which the honest clients share.

        Args:
            supply: the requests.
            give_up_s: when the attack has failed (monotonic seconds).
        """
        facts = self.facts
        facts.crawlers = len(self.crawling)
        started_s = time.monotonic()
        self.supply = supply
        for client in list(self.clients.values()):
            if isinstance(client, HonestClient):
                self.asking += 1
                self.ask_next(client)
            else:
                self.resetting += 1
                client.begin()
        for crawler in self.crawling:
            crawler.begin()
        next_sip_s = started_s
        while self.asking or self.resetting or any(not each.received for each in self.crawling):
            now_s = time.monotonic()
            assert now_s < give_up_s, f"no end of it: {self.standing()}"
            if now_s >= next_sip_s:
                next_sip_s = now_s + TICK_S
                self.crawl()
            for fd, _ in self.poll.poll(TICK_S, EVENTS_MAX):
                client = self.clients[fd]
                try:
                    if isinstance(client, HonestClient):
                        self.drive(client)
                    else:
                        self.drive_resetting(client)
                except OSError as error:
                    raise AssertionError(f"no new connection: {error}; {self.standing()}") from None
        facts.elapsed_s = time.monotonic() - started_s
        return facts

    def drive(self, client: HonestClient) -> None:
        """Let an honest client receive, and go on with the next request when its answer is complete."""
        try:
            if client.receive(self.room, self.view):
                self.count(client.wanted)
                self.ask_next(client)
        except BlockingIOError:
            pass
        except (OSError, WrongAnswerError) as error:
            self.note(client, error)
            was_asking = client.wanted is not None
            self.leave(client)
            self.join(another := HonestClient(self.address))
            if was_asking:
                self.ask_next(another)

    def drive_resetting(self, client: ResettingClient) -> None:
        """Let a client receive that resets one day, and connect another in its place as long as others still ask."""
        try:
            if not client.receive(self.room, self.view):
                return
            self.facts.resets += 1
            client.prepare_reset()
        except BlockingIOError:
            return
        except (OSError, WrongAnswerError) as error:
            self.note(client, error)
        self.leave(client)
        if self.asking:
            self.join(another := self.another_resetting())
            another.begin()
        else:
            self.resetting -= 1

    def crawl(self) -> None:
        """Let each slow client have what is due to it."""
        for client in list(self.crawling):
            try:
                self.facts.crawled_bytes += client.sip(self.view)
            except (OSError, WrongAnswerError) as error:
                self.note(client, error)
                self.crawling.remove(client)
                client.sock.close()

    def ask_next(self, client: HonestClient) -> None:
        """Send the next request of the supply, if there is one."""
        wanted = next(self.supply, None)
        if wanted is None:
            client.wanted = None
            self.asking -= 1
        else:
            client.begin(wanted)

    def count(self, wanted: Wanted | None) -> None:
        assert wanted is not None
        self.facts.answers += 1
        self.facts.bytes += wanted.count
        self.facts.ranges += wanted.content_range is not None

    def join(self, client: HonestClient | ResettingClient) -> None:
        self.clients[client.sock.fileno()] = client
        self.poll.register(client.sock, select.EPOLLIN)

    def leave(self, client: HonestClient | ResettingClient) -> None:
        self.poll.unregister(client.sock)
        del self.clients[client.sock.fileno()]
        client.sock.close()

    def another_resetting(self) -> ResettingClient:
        return ResettingClient(self.address, self.large, self.chance.randint(1, RESET_AFTER_MAX))

    def note(self, client: Client, error: Exception) -> None:
        """Write an error down; too many of them end the attack."""
        self.facts.errors.append(f"{client}: {error or repr(error)}")
        assert len(self.facts.errors) < ERRORS_MAX, self.standing()

    def standing(self) -> str:
        """Return how far it has got, and what some of the clients are waiting for."""
        waiting = [
            str(client)
            for client in [*self.clients.values(), *self.crawling]
            if not isinstance(client, HonestClient) or client.wanted is not None
        ]
        return (
            f"{self.facts.answers} answers, {len(self.facts.errors)} errors: {self.facts.errors}; "
            f"{len(waiting)} clients wait, among them {waiting[:5]}"
        )
