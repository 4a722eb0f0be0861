"""The servers that are compared: how each is started, what it needs, and where it logs.

Every server runs with one worker on one core, as its documentation advises, and writes an access
log where it can.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a server is to run.

    Attributes:
        site: the folder to serve.
        scratch: an empty folder for configuration and logs.
        port: to listen on, at 127.0.0.1.
        connections_max: connections it must be able to hold.
    """

    site: Path
    scratch: Path
    port: int
    connections_max: int

    @property
    def address(self) -> str:
        """Host and port, as most command lines want them."""
        return f"127.0.0.1:{self.port}"

    @property
    def access_log(self) -> Path:
        """The file that every server logs to."""
        return self.scratch / "access.log"

    def write(self, name: str, text: str) -> Path:
        """Put a configuration or a program into the scratch folder."""
        path = self.scratch / name
        path.write_text(textwrap.dedent(text))
        return path


@dataclass(frozen=True)
class Launch:
    """How to start a server.

    Attributes:
        argv: the command line.
        environment: variables on top of our own.
        prefix: the path under which the site is found.
        logs_to_stdout: the access log is whatever the server prints.
    """

    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    prefix: str = "/"
    logs_to_stdout: bool = False


@dataclass(frozen=True)
class Server:
    """One row of the table.

    Attributes:
        name: what the user types and the table shows.
        prepare: makes it available; returns its version and, when it cannot be used, why not.
        launch: says how to start it.
        has_access_log: False where the server cannot log what it serves from files.
    """

    name: str
    prepare: Callable[[], tuple[str, str]]
    launch: Callable[[Place], Launch]
    has_access_log: bool = True


_SOURCES = {"PYTHONPATH": str(environment.REPOSITORY / "src")}


def _chute_version() -> tuple[str, str]:
    argv = [sys.executable, "-m", "chute", "--version"]
    version = environment.first_line(argv, {**os.environ, **_SOURCES})
    return (
        version,
        "" if version else "`python -m chute --version` fails; `make bench` installs what it needs",
    )


def _chute(place: Place) -> Launch:
    argv = [sys.executable, "-m", "chute", "serve", str(place.site), "--bind", place.address]
    return Launch([*argv, "--access-log", str(place.access_log), "--workers", "1"], _SOURCES)


def _program(name: str, *version_option: str) -> Callable[[], tuple[str, str]]:
    def prepare() -> tuple[str, str]:
        path = _executable(name)
        if path is None:
            return "", "not installed"
        return environment.first_line([path, *version_option]), ""

    return prepare


def _executable(name: str) -> str | None:
    # Where servers are installed is often not in the path of a user who is not root.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def _packages(*packages: str, shown: int = 1) -> Callable[[], tuple[str, str]]:
    def prepare() -> tuple[str, str]:
        problem = environment.install(packages)
        if problem:
            return "", problem
        return ", ".join(f"{p} {environment.installed_version(p)}" for p in packages[:shown]), ""

    return prepare


def nginx(*http_lines: str, in_server: str = "") -> Callable[[Place], Launch]:
    """Return how nginx is started, with further lines of its configuration."""

    def launch(place: Place) -> Launch:
        # The files are ours: a worker that gave up our rights might not be able to reach them.
        me = pwd.getpwuid(os.geteuid()).pw_name
        # nginx closes idle connections once less than a sixteenth of them all is free.
        connections = place.connections_max * 9 // 8 + 64
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        lines = [
            "daemon off;",
            f"user {me};" if os.geteuid() == 0 else "",
            "worker_processes 1;",
            f"worker_rlimit_nofile {connections + 256};",
            f"pid {place.scratch}/nginx.pid;",
            f"error_log {place.scratch}/error.log warn;",
            f"events {{ worker_connections {connections}; }}",
            "http {",
            "sendfile on;",
            "tcp_nopush on;",
            "default_type application/octet-stream;",
            "keepalive_requests 1000000000;",
            f"access_log {place.access_log} combined;",
            *(f"{name}_temp_path {place.scratch}/{name};" for name in temporary),
            *http_lines,
            f"server {{ listen {place.address}; root {place.site}; {in_server} }}",
            "}",
        ]
        config = place.write("nginx.conf", "\n".join(lines))
        path = _executable("nginx") or "nginx"
        return Launch([path, "-p", str(place.scratch), "-c", str(config)])

    return launch


def _lighttpd(place: Place) -> Launch:
    # lighttpd cannot count more requests per connection than 65535; no run of ours gets there.
    config = place.write(
        "lighttpd.conf",
        f"""\
        server.modules = ( "mod_accesslog" )
        server.document-root = "{place.site}"
        server.bind = "127.0.0.1"
        server.port = {place.port}
        server.errorlog = "{place.scratch}/error.log"
        server.max-fds = {2 * place.connections_max + 64}
        server.max-connections = {place.connections_max}
        server.max-keep-alive-requests = 65535
        accesslog.filename = "{place.access_log}"
        mimetype.assign = ( "" => "application/octet-stream" )
        """,
    )
    return Launch([_executable("lighttpd") or "lighttpd", "-D", "-f", str(config)])


def _python(module: str, *arguments: str) -> list[str]:
    return [str(environment.VENV_PYTHON), "-m", module, *arguments]


def _granian(place: Place) -> Launch:
    place.write("bench_app.py", "async def app(scope, receive, send): ...\n")
    where = ["--host", "127.0.0.1", "--port", str(place.port)]
    static = ["--static-path-route", "/static", "--static-path-mount", str(place.site)]
    argv = _python(
        "granian", "--interface", "asgi", *where, *static, "--workers", "1", "--access-log"
    )
    return Launch(
        [*argv, "bench_app:app"],
        {"PYTHONPATH": str(place.scratch)},
        prefix="/static/",
        logs_to_stdout=True,
    )


def _uvicorn(place: Place) -> Launch:
    place.write(
        "bench_app.py",
        f"""\
        from starlette.applications import Starlette
        from starlette.routing import Mount
        from starlette.staticfiles import StaticFiles

        app = Starlette(routes=[Mount("/", StaticFiles(directory={str(place.site)!r}))])
        """,
    )
    where = ["--host", "127.0.0.1", "--port", str(place.port), "--app-dir", str(place.scratch)]
    return Launch(_python("uvicorn", *where, "bench_app:app"), logs_to_stdout=True)


def _aiohttp(place: Place) -> Launch:
    program = place.write(
        "bench_app.py",
        f"""\
        import logging
        from aiohttp import web

        access_log = logging.getLogger("aiohttp.access")
        access_log.setLevel(logging.INFO)
        access_log.addHandler(logging.FileHandler({str(place.access_log)!r}))
        app = web.Application()
        app.add_routes([web.static("/", {str(place.site)!r})])
        web.run_app(app, host="127.0.0.1", port={place.port}, access_log=access_log, print=None)
        """,
    )
    return Launch([str(environment.VENV_PYTHON), str(program)])


def _gunicorn(place: Place) -> Launch:
    place.write(
        "bench_app.py",
        f"""\
        from whitenoise import WhiteNoise

        def missing(environ, start_response):
            start_response("404 Not Found", [("Content-Length", "0")])
            return [b""]

        app = WhiteNoise(missing, root={str(place.site)!r})
        """,
    )
    # The default worker of gunicorn closes every connection; threads are its way to keep them.
    worker = ["--workers", "1", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"]
    where = ["--bind", place.address, "--chdir", str(place.scratch)]
    log = ["--access-logfile", str(place.access_log)]
    return Launch(_python("gunicorn", *worker, *where, *log, "bench_app:app"))


_CACHE = "open_file_cache max=1000 inactive=20s; open_file_cache_valid 1s;"

SERVERS = (
    Server("chute", _chute_version, _chute),
    Server("nginx", _program("nginx", "-v"), nginx()),
    Server("nginx-cache", _program("nginx", "-v"), nginx(_CACHE)),
    Server("lighttpd", _program("lighttpd", "-v"), _lighttpd),
    Server("granian", _packages("granian", "uvloop"), _granian, has_access_log=False),
    Server("uvicorn", _packages("uvicorn", "starlette", "uvloop", "httptools", shown=2), _uvicorn),
    Server("aiohttp", _packages("aiohttp"), _aiohttp),
    Server("whitenoise", _packages("whitenoise", "gunicorn", shown=2), _gunicorn),
)


def available(names: Sequence[str]) -> tuple[list[Server], dict[str, str], dict[str, str]]:
    """Return the servers that can be used, the version of each, and why the others cannot."""
    usable, versions, skipped = [], {}, {}
    for server in SERVERS:
        if server.name in names:
            version, problem = server.prepare()
            if problem:
                skipped[server.name] = problem
            else:
                usable.append(server)
                versions[server.name] = version
    return usable, versions, skipped
