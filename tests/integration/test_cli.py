"""The command line: what a user gets wrong is one line and exit code 2."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Serve, start_chute, wait_until


def chute(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chute", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def assert_complaint(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr.startswith("chute: error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use_names_another(taken_port: int, tmp_path: Path, workers: str):
    bind = f"127.0.0.1:{taken_port}"
    result = chute("serve", str(tmp_path), "--bind", bind, "--workers", workers)
    assert_complaint(result, bind, "in use", f"--bind 127.0.0.1:{taken_port + 1}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "/no/such/folder"], ["/no/such/folder"]),
        (["serve", "/dev/null"], ["/dev/null", "neither"]),
        (["serve", ".", "--bind", "nonsense"], ["nonsense", "127.0.0.1:8000", "unix:"]),
        (["serve", ".", "--bind", "127.0.0.1:99999"], ["99999"]),
        (["serve", ".", "--bind", "no.such.host.invalid:80"], ["no.such.host.invalid"]),
        (["serve", ".", "--bind", "192.0.2.1:8000"], ["192.0.2.1:8000"]),
        (["serve", ".", "--bind", "fd:77"], ["fd:77"]),
        (["serve", ".", "--bind", "unix:/no/such/folder/x.sock"], ["/no/such/folder/x.sock"]),
        (["serve", ".", "--workers", "0"], ["'0'", "auto"]),
        (["serve", ".", "--workers", "many"], ["'many'"]),
        (["serve", ".", "--valid", "-1"], ["--valid"]),
        (["serve", ".", "--valid", "soon"], ["soon"]),
        (["serve", ".", "--keep-alive-timeout", "inf"], ["--keep-alive-timeout"]),
        (["serve", ".", "--head-timeout", "nan"], ["--head-timeout", "seconds"]),
        (["serve", ".", "--index", "a/b"], ["a/b"]),
        (["serve", ".", "--index", ".."], ["--index"]),
        (["serve", ".", "--log-format", "xml"], ["xml", "json"]),
        (["serve", ".", "--access-log", "/no/such/folder/log"], ["/no/such/folder/log"]),
        (["serve", ".", "--no-such-option"], ["--no-such-option"]),
        (["serve", ".", "too", "many"], ["too"]),
        (["no-such-command"], ["no-such-command"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_line(arguments: list[str], words: list[str]):
    assert_complaint(chute(*arguments, CHUTE_BIND="127.0.0.1:0"), *words)


def give_up_reading_everything() -> None:
    """Take from root what lets it read any file (capabilities(7)); from others there is nothing to take."""
    drop_capability, names = 24, (1, 2)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if os.geteuid() == 0 and sys.platform == "linux":
        import ctypes

        for name in names:
            if ctypes.CDLL(None).prctl(drop_capability, name, 0, 0, 0) != 0:
                os._exit(77)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_unreadable_path_is_one_line(tmp_path: Path, kind: str):
    secret = tmp_path / "secret"
    if kind == "file":
        secret.write_text("x")
    else:
        secret.mkdir()
    secret.chmod(0)
    result = subprocess.run(
        [sys.executable, "-m", "chute", "serve", str(secret), "--bind", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=20,
        preexec_fn=give_up_reading_everything,
    )
    if result.returncode == 77:
        pytest.skip("root may read everything here, and that cannot be taken from it")
    assert_complaint(result, f"cannot read the {kind}", str(secret))


def test_unix_socket_path_that_is_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert_complaint(chute("serve", ".", "--bind", f"unix:{tmp_path}/{name}"), name)
    assert (tmp_path / "file").read_text() == "precious"


def test_version_and_help():
    assert chute("--version").stdout.startswith("chute 0.")
    assert "serve" in chute("--help").stdout
    assert "--sendfile" in chute("serve", "--help").stdout
    assert "Usage: chute" in chute().stderr + chute().stdout


SETTINGS = {
    "WORKERS": ("3", "workers", 3),
    "ACCESS_LOG": ("/var/log/a.log", "site.0.log.0.path", "/var/log/a.log"),
    "LOG_FORMAT": ("json", "site.0.log.0.format", "json"),
    "INDEX": ("a.html b.html", "site.0.files.index", ["a.html", "b.html"]),
    "VALID": ("7", "site.0.files.valid", "7s"),
    "SENDFILE": ("off", "site.0.files.sendfile", "off"),
    "DEBUG_HEADERS": ("1", "debug_headers", True),
    "SENDFILE_MIN": ("100", "site.0.files.sendfile_min", "100"),
    "HEAD_TIMEOUT": ("2.5", "limits.head_timeout", "2500ms"),
    "BODY_TIMEOUT": ("3", "limits.body_timeout", "3s"),
    "KEEP_ALIVE_TIMEOUT": ("4", "limits.keep_alive_timeout", "4s"),
    "SEND_TIMEOUT": ("5", "limits.send_timeout", "5s"),
    "POLLER": ("portable", "poller", "portable"),
}


def test_every_setting_can_come_from_the_environment(tmp_path: Path):
    environment = {f"CHUTE_{name}": value for name, (value, _, _) in SETTINGS.items()}
    environment["CHUTE_BIND"] = "127.0.0.1:1 unix:/x [::1]:2"
    result = chute("serve", str(tmp_path), "--print-config", **environment)
    assert (result.returncode, result.stderr) == (0, "")
    config = tomllib.loads(result.stdout)
    binds = [listener["bind"] for listener in config["listener"].values()]
    assert binds == ["127.0.0.1:1", "unix:/x", "[::1]:2"]
    seen = {}
    for name, (_, path, _) in SETTINGS.items():
        value = config
        for step in path.split("."):
            value = value[int(step) if step.isdigit() else step]
        seen[name] = value
    assert seen == {name: expected for name, (_, _, expected) in SETTINGS.items()}
    assert config["site"][0]["root"] == str(tmp_path)


def test_option_outranks_the_environment(tmp_path: Path):
    result = chute("serve", str(tmp_path), "--print-config", "--valid", "8", CHUTE_VALID="7")
    assert tomllib.loads(result.stdout)["site"][0]["files"]["valid"] == "8s"


def test_wrong_environment_is_one_line():
    assert_complaint(chute("serve", ".", CHUTE_BIND="nowhere"), "nowhere")
    assert_complaint(chute("serve", ".", CHUTE_WORKERS="-1"), "'-1'")


@pytest.mark.parametrize("name", ["one file.txt", "é#?.bin"])
def test_single_file_is_shared_and_nothing_beside_it(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"shared")
    (tmp_path / "private.txt").write_bytes(b"private")
    (tmp_path / "logs").mkdir()
    server = start_chute(tmp_path / name, tmp_path / "logs")
    reply = server.get("/")
    assert reply.status == 302
    assert server.get(reply["location"]).body == b"shared"
    for target in ("/private.txt", "/logs/", "/../private.txt", "/logs/access.log"):
        assert server.get(target).status in (400, 404), target
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_in_the_middle_of_a_download(
    serve: Serve, folder: Path, number: signal.Signals
):
    (folder / "big.bin").write_bytes(bytes(32 << 20))
    server = serve()
    with server.connect(receive_buffer=4096) as wire, server.connect() as idle:
        wire.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.read_head().status == 200
        server.process.send_signal(number)
        assert server.process.wait(5) == 0
        assert idle.is_closed()
    (line,) = server.log_lines(1)
    assert line.endswith("aborted")
    assert "Traceback" not in server.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_interrupt_before_anything_was_served_is_quiet(serve: Serve):
    server = serve()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(5) == 0
    assert server.errors().count("\n") == 1, server.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_access_log_can_be_switched_off(serve: Serve, folder: Path, tmp_path: Path):
    (folder / "a.txt").write_bytes(b"abc")
    server = serve("--access-log", "off")
    assert all(server.get(target).status for target in ("/a.txt", "/a.txt", "/none"))
    assert server.stop() == 0
    assert not server.access_log.exists()
    assert "GET" not in server.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_access_log_in_json_is_one_object_per_line(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"abc")
    server = serve("--log-format", "json")
    server.get("/a.txt", 'User-Agent: "quoted" \\ \xe9', "Referer: x")
    server.get("/none")
    server.get("/a.txt", "Bad Name: x")
    lines = [json.loads(line) for line in server.log_lines(3)]
    assert [line["status"] for line in lines] == [200, 404, 400]
    assert lines[0]["bytes_sent"] == 3
    assert lines[0]["user_agent"].startswith('"quoted" \\ ')
    assert lines[0]["carried"] == "buffer"
    assert all(line["complete"] for line in lines)


@pytest.mark.parametrize("poller", ["auto"])
def test_combined_log_escapes_what_a_peer_sent(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"abc")
    server = serve()
    server.get('/a.txt?"x', 'User-Agent: a"b\\c\xe9')
    (line,) = server.log_lines(1)
    assert '"GET /a.txt?\\x22x HTTP/1.1" 200 3 "-" "a\\x22b\\x5Cc\\xE9" 0.0' in line


def test_log_to_a_pipe_that_nobody_reads_holds_nobody_up(folder: Path, tmp_path: Path):
    (folder / "a.txt").write_bytes(b"abc")
    errors = tmp_path / "errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "chute", "serve", str(folder), "--bind", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        wait_until(lambda: b" at http://" in errors.read_bytes(), what="the address")
        port = int(errors.read_text().split("http://127.0.0.1:")[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            stream = sock.makefile("rb")
            for _ in range(20):
                sock.sendall(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
                for _ in range(500):
                    while stream.readline() != b"\r\n":
                        pass
                    assert stream.read(3) == b"abc"
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()


def test_closed_standard_streams_are_no_reason_not_to_serve(folder: Path, tmp_path: Path):
    (folder / "a.txt").write_bytes(b"abc")
    path = tmp_path / "chute.sock"
    command = f"exec {sys.executable} -m chute serve {folder} --bind unix:{path} <&- >&- 2>&-"
    process = subprocess.Popen(["bash", "-c", command])
    try:
        wait_until(path.exists, what="the socket")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            sock.sendall(b"GET /a.txt HTTP/1.0\r\n\r\n")
            with sock.makefile("rb") as stream:
                assert stream.read().endswith(b"abc")
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_name_of_a_unix_socket_that_is_not_ours_any_more_is_left(folder: Path, tmp_path: Path):
    path = tmp_path / "chute.sock"
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = start_chute(folder, tmp_path / "first", bind=f"unix:{path}")
    path.unlink()
    second = start_chute(folder, tmp_path / "second", bind=f"unix:{path}")
    assert first.stop() == 0
    assert path.exists()
    assert second.stop() == 0
    assert not path.exists()
