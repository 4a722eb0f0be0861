"""The thin line from the command to the kernel: what a first user does."""

from __future__ import annotations

from pathlib import Path

from running import Serve


def test_file_is_served_with_its_metadata(serve: Serve, folder: Path):
    (folder / "a.html").write_bytes(b"<p>hello")
    reply = serve().get("/a.html")
    assert reply.status == 200
    assert reply.body == b"<p>hello"
    assert reply["content-type"] == "text/html; charset=utf-8"
    assert reply["etag"].startswith('"')
    assert reply["accept-ranges"] == "bytes"


def test_folder_answers_with_its_index(serve: Serve, folder: Path):
    (folder / "index.html").write_bytes(b"start")
    assert serve().get("/").body == b"start"


def test_folder_without_slash_redirects_and_keeps_the_query(serve: Serve, folder: Path):
    (folder / "sub").mkdir()
    reply = serve().get("/sub?a=1&b")
    assert reply.status == 301
    assert reply["location"] == "/sub/?a=1&b"


def test_large_file_goes_out_whole(serve: Serve, folder: Path):
    content = bytes(range(256)) * 12_000
    (folder / "big.bin").write_bytes(content)
    chute = serve()
    assert chute.get("/big.bin").body == content
    (line,) = chute.log_lines(1)
    assert f" 200 {len(content)} " in line
    assert line.endswith(" sendfile complete")


def test_without_sendfile_the_bytes_are_the_same(serve: Serve, folder: Path):
    content = bytes(range(256)) * 12_000
    (folder / "big.bin").write_bytes(content)
    chute = serve("--sendfile=off")
    assert chute.get("/big.bin").body == content
    (line,) = chute.log_lines(1)
    assert line.endswith(" copy:off complete")
