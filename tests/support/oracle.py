"""A real nginx beside a chute, for tests that compare the two."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from running import wait_until

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {place}/nginx.pid;
error_log {place}/error.log; events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; default_type application/octet-stream;
    types {{ text/html html; text/css css; application/javascript js; text/plain txt; }}
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{ listen 127.0.0.1:{port}; absolute_redirect off; root {folder}; {directives} }}
}}
"""


def is_built_with(option: str) -> bool:
    """Whether nginx is here, and was built with `option`."""
    if NGINX is None:
        return False
    told = subprocess.run([NGINX, "-V"], capture_output=True, text=True, timeout=10).stderr
    return option in told


@contextmanager
def started_nginx(folder: Path, place: Path, directives: str) -> Iterator[tuple[str, int]]:
    """Run nginx for `folder`, its files in `place`; yield its address."""
    assert NGINX is not None
    place.mkdir()
    for path in (place, *place.parents, folder):
        if path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    place.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    (place / "nginx.conf").write_text(
        CONFIG.format(place=place, port=port, folder=folder, directives=directives)
    )
    nginx = subprocess.Popen(
        [NGINX, "-p", str(place), "-c", str(place / "nginx.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        assert nginx.poll() is None, (place / "error.log").read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens, what="nginx")
        yield "127.0.0.1", port
    finally:
        nginx.terminate()
        nginx.wait(10)
