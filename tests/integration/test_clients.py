"""The programs that people use: what curl, wget and their users expect of a server.

Downloads of a gigabyte are in `test_downloads`, a browser in `tests/browser`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from example_site import copy_example_site
from programs import run_program
from running import RunningChute, start_chute
from shared import shared_server

CONTENT = bytes(range(251)) * 4_000
UPLOAD_READ, UPLOAD_TOO_LARGE = 512 << 10, 8 << 20
"""Content that a server would read to keep its connection, and content that it refuses to."""


def fill(folder: Path) -> None:
    copy_example_site(folder)
    (folder / "content.bin").write_bytes(CONTENT)


server = shared_server(fill)


def curl(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run_program("curl", "-sS", "--max-time", "20", *arguments, folder=folder)


def facts(result: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    """Return what curl tells with `-w %{json}`, its answer kept out of the way by `-o`."""
    assert result.returncode == 0, result
    return json.loads(result.stdout)


def test_curl_shows_the_head_of_what_it_would_get(server: RunningChute, tmp_path: Path):
    result = curl(tmp_path, "-I", f"{server.url}/content.bin")
    assert result.returncode == 0, result
    lines = result.stdout.decode().splitlines()
    assert lines[0] == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(CONTENT)}" in lines
    assert "Accept-Ranges: bytes" in lines


@pytest.mark.parametrize("option", ["--compressed", "--http1.0", "--http1.1", "--tr-encoding"])
def test_curl_gets_the_same_bytes_whatever_it_offers(
    server: RunningChute, tmp_path: Path, option: str
):
    result = curl(tmp_path, "--fail", option, f"{server.url}/content.bin")
    assert result.returncode == 0, result
    assert result.stdout == CONTENT


def test_curl_upgrade_to_http2_is_passed_over(server: RunningChute, tmp_path: Path):
    told = facts(
        curl(tmp_path, "--http2", "-o", "got", "-w", "%{json}", f"{server.url}/content.bin")
    )
    assert (told["http_code"], told["http_version"]) == (200, "1.1")
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("0-99", slice(0, 100)),
        ("1000-", slice(1000, None)),
        ("-100", slice(-100, None)),
        ("5-5", slice(5, 6)),
    ],
    ids=["first bytes", "from a place on", "last bytes", "one byte"],
)
def test_curl_gets_a_range(server: RunningChute, tmp_path: Path, wanted: str, part: slice):
    result = curl(tmp_path, "--fail", "-r", wanted, f"{server.url}/content.bin")
    assert result.returncode == 0, result
    assert result.stdout == CONTENT[part]


def test_curl_gets_several_ranges_as_parts(server: RunningChute, tmp_path: Path):
    url = f"{server.url}/content.bin"
    told = facts(curl(tmp_path, "-r", "0-9,500-519", "-o", "got", "-w", "%{json}", url))
    assert told["http_code"] == 206
    assert str(told["content_type"]).startswith("multipart/byteranges; boundary=")
    got = (tmp_path / "got").read_bytes()
    assert b"\r\n\r\n" + CONTENT[0:10] + b"\r\n--" in got
    assert b"\r\n\r\n" + CONTENT[500:520] + b"\r\n--" in got


def test_curl_fetches_again_only_what_changed(server: RunningChute, tmp_path: Path):
    url, copy = f"{server.url}/content.bin", tmp_path / "copy"
    # -R gives the copy the time of Last-Modified, and -z sends the time of the copy.
    assert facts(curl(tmp_path, "-R", "-o", copy, "-w", "%{json}", url))["http_code"] == 200
    told = facts(curl(tmp_path, "-z", copy, "-o", "again", "-w", "%{json}", url))
    assert (told["http_code"], told["size_download"]) == (304, 0)
    os.utime(copy, (1_000_000_000, 1_000_000_000))
    assert (
        facts(curl(tmp_path, "-z", copy, "-o", "again", "-w", "%{json}", url))["http_code"] == 200
    )
    assert (tmp_path / "again").read_bytes() == CONTENT


def test_curl_fetches_again_only_another_etag(server: RunningChute, tmp_path: Path):
    url, kept = f"{server.url}/content.bin", ("--etag-compare", "tag", "--etag-save", "tag")
    arguments = (*kept, "-o", "got", "-w", "%{json}", url)
    (tmp_path / "tag").touch()
    assert facts(curl(tmp_path, *arguments))["http_code"] == 200
    assert facts(curl(tmp_path, *arguments))["http_code"] == 304


def test_curl_keeps_its_connection(server: RunningChute, tmp_path: Path):
    urls = [f"{server.url}/{name}" for name in ("content.bin", "nothing", "index.html", "css")]
    result = curl(
        tmp_path, *[word for url in urls for word in ("-o", "got", url)], "-w", "%{num_connects} "
    )
    assert result.stdout.split() == [b"1", b"0", b"0", b"0"], result


def test_curl_follows_a_folder_to_its_slash(server: RunningChute, tmp_path: Path):
    (server.folder / "sub").mkdir(exist_ok=True)
    (server.folder / "sub" / "index.html").write_bytes(b"within")
    result = curl(
        tmp_path, "-L", "-w", " %{num_redirects} %{url_effective}", f"{server.url}/sub?a=b"
    )
    assert result.stdout.decode() == f"within 1 {server.url}/sub/?a=b"


@pytest.mark.parametrize(
    "expect", ["Expect: 100-continue", "Expect:"], ids=["asks first", "sends at once"]
)
@pytest.mark.parametrize("count", [UPLOAD_READ, UPLOAD_TOO_LARGE], ids=["small", "large"])
def test_curl_upload_is_refused_without_a_wait(
    server: RunningChute, tmp_path: Path, count: int, expect: str
):
    with (tmp_path / "upload.bin").open("wb") as file:
        file.truncate(count)
    # A server that neither refuses nor says 100 would keep curl waiting beyond its --max-time.
    told = facts(
        curl(
            tmp_path,
            *("-H", expect, "--expect100-timeout", "30", "-T", "upload.bin"),
            *("-o", "got", "-w", "%{json}", f"{server.url}/upload.bin"),
        )
    )
    assert told["http_code"] == 405
    assert not (server.folder / "upload.bin").exists()
    if expect.endswith("continue"):
        assert told["size_upload"] == 0, "the content was sent although nobody wants it"


def test_curl_talks_through_a_unix_socket(tmp_path: Path, folder: Path, poller: str):
    (folder / "content.bin").write_bytes(CONTENT)
    path = tmp_path / "chute.sock"
    chute = start_chute(folder, tmp_path, "--poller", poller, bind=f"unix:{path}")
    try:
        result = curl(tmp_path, "--fail", "--unix-socket", path, "http://chute.test/content.bin")
    finally:
        assert chute.stop() == 0
    assert result.returncode == 0, result
    assert result.stdout == CONTENT


def test_wget_mirrors_the_example_site(server: RunningChute, tmp_path: Path):
    """Every link of the site leads somewhere, and every file of it is linked."""
    result = run_program(
        "wget",
        *("--no-verbose", "--mirror", "--page-requisites", "--no-host-directories", "--tries=1"),
        f"{server.url}/",
        folder=tmp_path,
    )
    assert result.returncode == 0, result
    site = {
        path.relative_to(server.folder).as_posix(): path.read_bytes()
        for path in server.folder.rglob("*")
        if path.is_file() and path.parent.name != "sub"
    }
    for unlinked in ("404.html", "content.bin"):
        del site[unlinked]
    mirrored = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    for own in (".wget-hsts",):
        mirrored.pop(own, None)
    assert mirrored.keys() == site.keys()
    assert [name for name in site if mirrored[name] != site[name]] == []
    again = run_program(
        "wget",
        *("--no-verbose", "--mirror", "--page-requisites", "--no-host-directories", "--tries=1"),
        f"{server.url}/",
        folder=tmp_path,
    )
    assert again.returncode == 0, again
    lines = [line for line in server.log_lines(1) if '"Wget/' in line]
    assert {line.split('" ')[1][:3] for line in lines} <= {"200", "304"}, lines
