"""One nginx with many server blocks, asked many things at once: for tests that compare how a choice is made.

Everything listens on Unix sockets, so that hundreds of listeners need no ports; requests are pipelined, so that ten
thousand of them take a second or two. What Hypothesis makes is collected first, and then put to nginx in one go: a
process for each example would take most of the time.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from oracle import NGINX
from running import Wire, wait_until

Case = TypeVar("Case")

# The root is a folder that is not there: what no location answers for is a 404, whatever its path.
CONFIG = """
daemon off; master_process off; worker_processes 1; pid {place}/nginx.pid;
error_log {place}/error.log crit; events {{ worker_connections 2048; }}
http {{
    access_log off; keepalive_requests 1000000; root {place}/nothing;
    server_names_hash_max_size 4096; server_names_hash_bucket_size 256;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    {servers}
}}
"""


def drawn(strategy: SearchStrategy[Case], count: int) -> list[Case]:
    """Return `count` examples at most, the same ones in every run."""
    cases: list[Case] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(case: Case) -> None:
        cases.append(case)

    collect()
    return cases[:count]


def quoted(text: str) -> str:
    """Return `text` as one word of an nginx configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def answering_nginx(servers: str, place: Path, socket_path: Path) -> Iterator[None]:
    """Run nginx with these server blocks, its files in `place`, until the block is left.

    `socket_path` is one of the sockets that they listen on.
    """
    assert NGINX is not None
    config = CONFIG.format(place=place, servers=servers)
    (place / "nginx.conf").write_bytes(config.encode("utf-8", "surrogateescape"))
    with (place / "stderr").open("wb") as stderr:
        nginx = subprocess.Popen(
            [NGINX, "-p", str(place), "-c", str(place / "nginx.conf")],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )

    def listens() -> bool:
        assert nginx.poll() is None, (place / "stderr").read_text(errors="replace")[-2000:]
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(socket_path)) == 0

    try:
        wait_until(listens, what="nginx")
        yield
    finally:
        nginx.terminate()
        nginx.wait(10)


def answers(socket_path: Path, requests: Sequence[bytes]) -> list[str | int]:
    """Return the body of each answer that is a 200 and the status of each that is not, in the order of the requests.

    nginx ends the connection after a bad request and after HTTP/1.0; what was not answered is asked again on the next.
    """
    found: list[str | int] = []
    while len(found) < len(requests):
        answered_before = len(found)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(socket_path))
            wire = Wire(sock)
            try:
                wire.send(b"".join(requests[answered_before:]))
                while len(found) < len(requests):
                    reply = wire.read_reply()
                    is_found = reply.status == 200
                    found.append(reply.body.decode("latin-1") if is_found else reply.status)
            except (EOFError, ConnectionError):
                pass
        assert len(found) > answered_before, f"no answer to {requests[answered_before]!r}"
    return found
