"""The honest measure: very many requests over very many connections that are all open at once, and every byte checked.

Honest clients keep their connection and send one request after another: files from 1 KiB to 1 MiB of random bytes, and
ranges of them. Status, Content-Length, Content-Range and the SHA-256 of each body are compared with what the files say;
whatever differs is an error with its details, and so is a connection that fails. Beside them there may be clients that
reset in the middle of a body and come back, and clients that read ten kilobytes a second for as long as it takes. When
all are gone, the access log must tell the same story as the clients, and the server must have the descriptors and the
memory that it had before, and nothing to do.

SHA-256 is the fastest of the hashes where the processor has instructions for it: 1.6 GB/s here, twice BLAKE2b.
"""

from __future__ import annotations

import hashlib
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator

from attack import Attack, Facts
from attackers import KIB, MIB, Wanted
from downloads import cpu_share
from running import RunningChute, wait_until
from siege import RESIDENT_GROWTH_MAX, open_now

SIZES = {
    KIB: 24,
    5003: 12,
    8 * KIB - 1: 6,
    8 * KIB: 6,
    8 * KIB + 1: 6,
    16 * KIB: 8,
    31_337: 8,
    64 * KIB - 1: 5,
    64 * KIB: 5,
    64 * KIB + 1: 5,
    200_003: 9,
    MIB - 1: 3,
    MIB: 3,
}
"""Sizes of the files, and how often each is asked for, in percent."""
RANGE_SHARE = 0.15
RANGES_PER_FILE = 12
COOKIE_SHARE = 0.25
"""Requests with a head that was never sent before, so that not all are answered from the cache of heads."""
LARGE_BYTES = 16 * MIB
"""More than all buffers between server and client hold, so that a reset hits an answer that is on its way."""
SETTLE_S = 5.0
IDLE_S = 0.4
"""For how long the server is watched doing nothing."""
DESCRIPTORS_OF_OTHERS = 256
"""What a process needs beside one descriptor for each connection."""

SOCKET = "socket:"
"""What the descriptor of a socket is a link to, without its number."""

_COMPLAINT = re.compile(r" (WARNING|ERROR|CRITICAL) |^Traceback", re.MULTILINE)
"""What the server has no reason for: also that it gave up on somebody who was only slow."""
_LOG_LINE = re.compile(
    rb'" (\d+) (\d+) "-" "(honest|resetting|crawling)" [\d.]+ (\S+) (complete|aborted)\n'
)


def allow_descriptors(connections: int) -> None:
    """Allow this process, and the server that it starts, as many descriptors as there may be.

    Raises:
        RuntimeError: the hard limit is too low for so many connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + DESCRIPTORS_OF_OTHERS
    if soft >= needed:
        return
    if hard < needed:
        raise RuntimeError(
            f"{connections} connections need {needed} descriptors, and the limit (ulimit -Hn) is {hard}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Onslaught:
    """Attacks on one server, each compared with the server at rest after a warm-up."""

    def __init__(self, chute: RunningChute) -> None:
        """Fill the folder of `chute`, which was just started."""
        assert isinstance(chute.address, tuple)
        self.chute = chute
        self.address = chute.address
        self.chance = random.Random(1)
        self.whole: list[Wanted] = []
        self.ranges: list[list[Wanted]] = []
        for size in SIZES:
            content = self.chance.randbytes(size)
            (chute.folder / f"f{size}").write_bytes(content)
            self.whole.append(_whole(f"/f{size}", content))
            self.ranges.append(
                [_range(f"/f{size}", content, self.chance) for _ in range(RANGES_PER_FILE)]
            )
        self.large = self.chance.randbytes(LARGE_BYTES)
        (chute.folder / "large").write_bytes(self.large)
        self.names = [*(f"f{size}" for size in SIZES), "large"]
        self.unlogged: list[Facts] = []
        self.log_offset = 0
        self.open_untouched = open_now(chute)
        self.open_at_rest = self.open_untouched
        self.resident = 0

    def warm_up(self, connections: int, *, within_s: float) -> None:
        """Let the server allocate what it needs for so many connections, and remember what it looks like then."""
        give_up_s = time.monotonic() + within_s
        for misbehaving in (False, True):
            self.run(3 * connections, connections, give_up_s, misbehaving=misbehaving)
        self.open_at_rest = self.settle()
        self.resident = self.chute.resident_bytes()

    def attack(
        self, requests: int, connections: int, *, misbehaving: bool = False, within_s: float
    ) -> Facts:
        """Make `requests` over `connections`, and assert that all went well and that nothing is left of them.

        Args:
            requests: of the honest clients.
            connections: of all clients together.
            misbehaving: whether every twentieth resets, and as many read slowly.
            within_s: when to give up.
        """
        facts = self.run(
            requests, connections, time.monotonic() + within_s, misbehaving=misbehaving
        )
        self.compare_rest(facts)
        self.compare_log(facts)
        return facts

    def run(self, requests: int, connections: int, give_up_s: float, *, misbehaving: bool) -> Facts:
        """Attack once, and assert that every answer was right."""
        chute = self.chute
        sockets = self.settle()[SOCKET] + connections
        spent_s = chute.cpu_s()
        attack = Attack(self.address, self.large, connections, misbehaving=misbehaving)
        try:
            wait_until(
                lambda: open_now(chute)[SOCKET] >= sockets,
                what=f"the server's side of {connections} connections",
            )
            attack.facts.descriptors = chute.descriptors()
            facts = attack.run(self.supply(requests), give_up_s)
        finally:
            attack.close()
        facts.server_cpu_s = chute.cpu_s() - spent_s
        assert facts.errors == [], f"{len(facts.errors)} errors: {facts.errors}"
        assert facts.answers == requests
        self.unlogged.append(facts)
        return facts

    def supply(self, requests: int) -> Iterator[Wanted]:
        """Yield so many requests, by chance: of files by their weight, of ranges, with cookies of their own."""
        chance = self.chance
        numbers = range(len(self.whole))
        for number in chance.choices(numbers, list(SIZES.values()), k=requests):
            is_range = chance.random() < RANGE_SHARE
            wanted = chance.choice(self.ranges[number]) if is_range else self.whole[number]
            if chance.random() < COOKIE_SHARE:
                cookie = f"Cookie: id={chance.random()}\r\n"
                wanted = wanted._replace(field_lines=wanted.field_lines + cookie)
            yield wanted

    def settle(self) -> Counter[str]:
        """Ask for each file, wait until everybody is gone, and return what is open then."""
        for name in self.names:
            assert self.chute.get(f"/{name}").status == 200
        most = self.open_untouched.total() + len(self.names)
        give_up_s = time.monotonic() + SETTLE_S
        before: Counter[str] = Counter()
        while (now := open_now(self.chute)).total() > most or now != before:
            assert time.monotonic() < give_up_s, f"too much is open: {now - self.open_untouched}"
            before = now
            time.sleep(0.05)
        return now

    def compare_rest(self, facts: Facts) -> None:
        """Nothing is open that was not open before, memory has not grown, and nothing is being done."""
        chute = self.chute
        assert not (more := self.settle() - self.open_at_rest), f"leaked: {more}"
        assert cpu_share(chute, IDLE_S) < 0.1, "busy although nobody asks"
        facts.resident_growth = chute.resident_bytes() - self.resident
        assert facts.resident_growth < RESIDENT_GROWTH_MAX, f"memory grew: {facts}"
        errors = chute.errors()
        assert not _COMPLAINT.search(errors), errors[-2000:]

    def compare_log(self, facts: Facts) -> None:
        """The log has one line for each answer so far, which says how it ended and how many bytes were sent."""
        expected = Counter[tuple[bytes, bytes]]()
        for each in self.unlogged:
            expected[b"honest", b"complete"] += each.answers
            expected[b"resetting", b"aborted"] += each.resets
            expected[b"crawling", b"aborted"] += each.crawlers
        lines: list[tuple[bytes, ...]] = []

        def are_written() -> bool:
            with self.chute.access_log.open("rb") as log:
                log.seek(self.log_offset)
                lines[:] = _LOG_LINE.findall(log.read())
            return len(lines) >= expected.total()

        give_up_s = time.monotonic() + SETTLE_S
        while not are_written() and time.monotonic() < give_up_s:
            time.sleep(0.05)
        seen = Counter((agent, end) for _, _, agent, _, end in lines)
        assert seen == +expected, f"the log says {seen} instead of {expected}"
        honest = [line for line in lines if line[2] == b"honest"]
        assert sum(int(sent) for _, sent, *_ in honest) == sum(each.bytes for each in self.unlogged)
        assert Counter(status for status, *_ in honest)[b"206"] == sum(
            each.ranges for each in self.unlogged
        )
        facts.carried = Counter(carried.decode() for *_, carried, _ in honest[-facts.answers :])
        self.log_offset = self.chute.access_log.stat().st_size
        self.unlogged.clear()


def _whole(target: str, content: bytes) -> Wanted:
    digest = hashlib.sha256(content).digest()
    return Wanted(target, "", b"200", None, content, 0, len(content), digest)


def _range(target: str, content: bytes, chance: random.Random) -> Wanted:
    """Return a request for a random part, in one of the three forms of RFC 9110, 14.1.1."""
    size = len(content)
    first = chance.randrange(size)
    last = chance.randrange(first, size)
    text, last = chance.choice(
        (
            (f"{first}-{last}", last),
            (f"{first}-", size - 1),
            (f"-{size - first}", size - 1),
        )
    )
    part = content[first : last + 1]
    return Wanted(
        target,
        f"Range: bytes={text}\r\n",
        b"206",
        f"bytes {first}-{last}/{size}".encode(),
        content,
        first,
        len(part),
        hashlib.sha256(part).digest(),
    )
