"""`--print-config` prints what the command does: read again, it is the same configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from chute.cli import serve as serve_module
from chute.cli.serve import serve
from chute.config.model import Config
from chute.config.render import render_config
from chute.config.resolve import load_text

HASH = "anna:$2y$10$abcdefghijklmnopqrstuuN8aW5xQF5vVZ5o5o5o5o5o5o5o5o5o5"

COMMANDS = {
    "nothing said": [],
    "several addresses": ["--bind", "127.0.0.1:1", "--bind", "[::1]:2", "--bind", "unix:/x/y.sock"],
    "workers and times": ["--workers", "3", "--head-timeout", "2.5", "--send-timeout", "90"],
    "no log": ["--access-log", "off"],
    "a log of its own": ["--access-log", "/var/log/a.log", "--log-format", "json"],
    "files": ["--index", "a.html", "--index", "b.html", "--no-listing", "--archives", "--hidden", "--links", "owner"],
    "what is tried": ["--try-files", "$uri $uri.html $uri/ =410"],
    "an app": ["--spa"],
    "beneath a path": ["--prefix", "/down/loads"],
    "rules": ["--cache", "*.css=1h", "--cache", "/a/**=immutable", "--cache", "*.x=off", "--field", "*=X-A: b c"],
    "rules twice": ["--cache", "*.css=1h", "--field", "*.css=Cache-Control: no-store", "--field", "*=B: "],
    "forms": ["--no-sidecars", "--compress-level", "gzip=3", "--compress-min", "2K", "--compress-type", "a/b"],
    "no forms": ["--no-compress"],
    "types": ["--media-type", ".ts=text/typescript", "--charset", "", "--entity-tags", ".etag"],
    "rates": ["--limit-rate", "1M", "--limit-rate-after", "1500"],
    "files in memory": ["--valid", "0", "--sendfile", "off", "--sendfile-min", "0"],
    "passwords": ["--auth", HASH, "--realm", 'Ours "and" yours'],
    "other origins": ["--cors", "https://a.example", "--cors", "https://b.example:8443", "--security-fields", "strict"],
    "all origins": ["--cors", "*"],
    "uploads": ["--upload", "--upload-max", "10M", "--upload-quota", "3G", "--overwrite", "--cors", "https://a.example"],
    "the rest": ["--debug-headers", "--poller", "portable"],
}  # fmt: skip


def config_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Config:
    """Return the configuration that `chute serve` would run."""
    seen: list[Config] = []

    def keep(config: Config) -> int:
        seen.append(config)
        return 0

    monkeypatch.setattr(serve_module, "run_config", keep)
    result = CliRunner().invoke(serve, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (config,) = seen
    return config


@pytest.mark.parametrize("options", COMMANDS.values(), ids=COMMANDS)
def test_what_a_command_means_can_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
):
    config = config_of(monkeypatch, str(tmp_path), *options)
    text = render_config(config)
    assert load_text("printed.toml", text, {}) == config, text


@pytest.mark.parametrize("name", ["one.txt", "é#?.bin", "with space"])
def test_one_file_can_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    (tmp_path / name).write_text("x")
    config = config_of(monkeypatch, str(tmp_path / name))
    assert load_text("printed.toml", render_config(config), {}) == config


def test_pages_for_failures_become_pages_of_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same answers by another way: the command line has them in the folder, a configuration in the site."""
    words = ["--error-page", "404=/errors/404.html", "--error-page", "403=Members only."]
    config = config_of(monkeypatch, str(tmp_path), *words)
    again = load_text("printed.toml", render_config(config), {})
    assert again.sites[0].rest.error_pages == (
        (404, "/errors/404.html"),
        (403, "Members only."),
    )


RICH = """
workers = 3
shutdown_timeout = "5s"
debug_headers = true
limits = { fields_max = 7, content_max = "3K", linger_timeout = "1s" }
log_format = { mine = { template = "$uri \\"$status\\"", escape = "json" } }

[listener.a]
bind = "127.0.0.1:8080"
[listener.b]
bind = "unix:/run/b.sock"
mode = "0660"
owner = "0:0"

[map.kind]
source = "$http_user_agent"
default = "x"
values = { "~*bot" = "$1", a = "" }

[[site]]
names = ["a.b", "~^x(?<n>.)$"]
default = true
listeners = ["a"]
root = "www"
fields = { X = "$kind", Y = "" }
error_pages = { "502 503" = "@sorry", "404" = "Not here." }
log = [ { path = "-", format = "mine", when = ["$kind", "$status != 200"], sample = 0.5 }, { path = "/x.log" } ]

[[site.rewrite]]
when = ["$kind", "$arg_a ~ b"]
match = "^/a"
to = "/b?"
then = "last"
[[site.rewrite]]
set = "v"
to = "$n"
[[site.rewrite]]
match = "^/gone"
respond = 410

[[site.location]]
match = "= /f"
alias = "www/one"
[[site.location]]
match = "^~ /alias/"
alias = "www"
internal = true
when = "$request_method = POST"
[[site.location]]
match = '~* \\.(png|jpg)$'
redirect = { to = "https://cdn.example$uri", status = 301 }
  [[site.location.location]]
  match = "~ big"
  respond = { status = 200, text = "x\\n", type = "text/html" }
[[site.location]]
match = "@sorry"
respond = 503

[[site]]
listeners = ["b"]
[[site.location]]
match = "/"
redirect = "/x"
"""


def test_rich_configuration_can_be_written_down_again(tmp_path: Path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www/one").write_text("1")
    config = load_text(str(tmp_path / "chute.toml"), RICH, {})
    text = render_config(config)
    assert load_text("elsewhere.toml", text, {}) == config, text


def test_what_is_within_an_internal_location_is_internal_unless_it_says_otherwise():
    """Else anybody could reach a part of what nobody was to reach (as in nginx)."""
    text = """
[[site]]
[[site.location]]
match = "/a/"
internal = true
respond = "a"
  [[site.location.location]]
  match = "/a/b/"
  respond = "b"
    [[site.location.location.location]]
    match = "~ c"
    respond = "c"
  [[site.location.location]]
  match = "/a/d/"
  internal = false
  respond = "d"
"""
    (outer,) = load_text("chute.toml", text, {}).sites[0].locations
    within, opened = outer.locations
    assert outer.is_internal
    assert within.is_internal
    assert within.locations[0].is_internal
    assert not opened.is_internal
    config = load_text("chute.toml", text, {})
    assert load_text("printed.toml", render_config(config), {}) == config
