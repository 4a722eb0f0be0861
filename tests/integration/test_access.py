"""Who may come in, and what browsers are told, on the wire; and that a prepared answer is nobody else's."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from running import Serve


@pytest.fixture
def poller() -> str:
    """One of them: which poller carries an answer changes nothing about what is asked here."""
    return "auto"


def credential(text: str) -> str:
    return f"Authorization: Basic {base64.b64encode(text.encode()).decode()}"


@pytest.fixture
def anna() -> str:
    """A user whose hash is quick to check, so that a test may ask often."""
    return "anna:{SHA}" + base64.b64encode(hashlib.sha1(b"right").digest()).decode()


def test_only_those_who_know_a_password_come_in(serve: Serve, folder: Path, anna: str):
    (folder / "a.txt").write_bytes(b"secret")
    (folder / "sub").mkdir()
    server = serve("--auth", anna, "--realm", "the cellar", "--archives", "--upload")
    targets = ["/a.txt", "/none", "/", "/sub/?archive=tar", "/sub/?format=json", "/%zz", "/sub"]
    for target in targets:
        for lines in ([], [credential("anna:wrong")], [credential("berta:right")]):
            for method in ("GET", "HEAD", "OPTIONS", "PUT"):
                reply = server.get(target, *lines, method=method)
                if target == "/%zz":
                    assert reply.status == 400
                    continue
                assert reply.status == 401, (target, lines, method)
                assert reply["www-authenticate"].startswith('Basic realm="the cellar"')
                assert b"secret" not in reply.body
    assert server.get("/a.txt", credential("anna:right")).body == b"secret"


def test_prepared_answer_is_not_for_others(serve: Serve, folder: Path, anna: str):
    """A plan is found by the head; a head with another credential, or none, is another head."""
    (folder / "a.txt").write_bytes(b"secret")
    server = serve("--auth", anna)
    for _ in range(5):
        assert server.get("/a.txt", credential("anna:right")).body == b"secret"
        assert server.get("/a.txt", credential("anna:right"), "Cookie: a").body == b"secret"
        assert server.get("/a.txt").status == 401
        assert server.get("/a.txt", credential("anna:wrong")).status == 401
        assert server.get("/a.txt", credential("anna:wrong"), "Cookie: a").status == 401


def test_answer_to_a_credential_is_for_nobody_else(serve: Serve, folder: Path, anna: str):
    (folder / "a.txt").write_bytes(b"secret")
    server = serve("--auth", anna, "--cache", "/open.txt=public, max-age=60")
    (folder / "open.txt").write_bytes(b"open")
    assert server.get("/a.txt", credential("anna:right"))["cache-control"] == "private"
    reply = server.get("/open.txt", credential("anna:right"))
    assert reply["cache-control"] == "public, max-age=60"


def test_upload_is_answered_before_it_is_sent_to_who_may_not(serve: Serve, folder: Path, anna: str):
    server = serve("--auth", anna, "--upload", "--bind", "127.0.0.1:0")
    with server.connect() as wire:
        wire.send(
            b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert wire.read_reply("PUT").status == 401
    content = os.urandom(3_000_000)
    with server.connect() as wire:
        head = [
            "PUT /a HTTP/1.1",
            "Host: a",
            f"Content-Length: {len(content)}",
            "Expect: 100-continue",
            credential("anna:right"),
        ]
        wire.send("\r\n".join([*head, "", ""]).encode())
        assert wire.read_head().status == 100
        wire.send(content)
        assert wire.read_reply("PUT").status == 201
    assert (folder / "a").read_bytes() == content


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="htpasswd is not installed")
@pytest.mark.parametrize("kind", ["-B", "-5", "-2", "-m", "-s"])
def test_file_of_htpasswd_is_read(serve: Serve, folder: Path, tmp_path: Path, kind: str):
    if kind == "-B":
        pytest.importorskip("bcrypt")
    (folder / "a.txt").write_bytes(b"secret")
    path = tmp_path / "htpasswd"
    made = subprocess.run(
        ["htpasswd", "-cb", kind, str(path), "anna", "right"], capture_output=True, timeout=30
    )
    if made.returncode:
        pytest.skip("this htpasswd does not know that kind of hash")
    server = serve("--auth-file", str(path))
    assert server.get("/a.txt", credential("anna:right")).body == b"secret"
    assert server.get("/a.txt", credential("anna:wrong")).status == 401


def test_pages_of_other_origins_may_read_if_they_are_named(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"x")
    friend, stranger = "Origin: https://friend.example", "Origin: https://stranger.example"
    server = serve("--cors", "https://friend.example")
    for _ in range(4):
        reply = server.get("/a.txt", friend)
        assert reply["access-control-allow-origin"] == "https://friend.example"
        assert "origin" in reply["vary"].lower()
        assert "access-control-allow-origin" not in server.get("/a.txt", stranger)
        assert "access-control-allow-origin" not in server.get("/a.txt")
    assert server.get("/none", friend)["access-control-allow-origin"] == "https://friend.example"
    preflight = server.get("/a.txt", friend, "Access-Control-Request-Method: GET", method="OPTIONS")
    assert preflight.status == 204
    assert "GET" in preflight["access-control-allow-methods"]
    assert "PUT" not in preflight["access-control-allow-methods"]


def test_cors_for_all_does_not_split_what_is_prepared(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"x")
    server = serve("--cors", "*")
    for origin in ("https://one.example", "https://two.example"):
        reply = server.get("/a.txt", f"Origin: {origin}")
        assert reply["access-control-allow-origin"] == "*"
        assert "vary" not in reply


def test_preflight_needs_no_password(serve: Serve, folder: Path, anna: str):
    server = serve("--cors", "https://friend.example", "--auth", anna)
    reply = server.get(
        "/a.txt",
        "Origin: https://friend.example",
        "Access-Control-Request-Method: GET",
        method="OPTIONS",
    )
    assert reply.status == 204


@pytest.mark.parametrize("preset", ["basic", "strict"])
def test_security_fields_are_on_every_answer_of_the_site(serve: Serve, folder: Path, preset: str):
    (folder / "a.html").write_bytes(b"x")
    server = serve("--security-fields", preset)
    for target in ("/a.html", "/none", "/"):
        assert server.get(target)["x-content-type-options"] == "nosniff", target
    listing = server.get("/", "Accept: text/html")
    policies = [value for name, value in listing.fields if name == "content-security-policy"]
    assert len(policies) == 1
    assert "'sha256-" in policies[0], "the page's own policy, which lets its own script run"
