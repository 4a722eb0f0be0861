"""What `chute check` warns of: it can be meant, and seldom is."""

from __future__ import annotations

from pathlib import Path

import pytest

from chute.config.resolve import load_config
from chute.config.traps import find_traps

HEAD = '[[site]]\nnames = ["a.b"]\nroot = "www"\n'


def traps(place: Path, text: str, *, beneath: tuple[str, ...] = ()) -> list[str]:
    """Return the warnings about a configuration, in whose root there are files `beneath`."""
    root = place / "www"
    root.mkdir()
    for name in beneath:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    file = place / "chute.toml"
    file.write_text(text)
    found = find_traps(load_config(str(file), {}), str(file))
    return [str(trap).replace(f"{place}/", "") for trap in found]


def location(match: str, rest: str) -> str:
    return f"[[site.location]]\nmatch = '{match}'\n{rest}\n"


WARNED = {
    "redirect to what the client says": (
        HEAD + location("/go", "redirect = '$arg_to'"),
        (
            "site 'a.b', location '/go': '$arg_to' redirects to whatever the client asks for (begin with a host or "
            "a slash)"
        ),
    ),
    "rewrite to what the client says": (
        HEAD + "[[site.rewrite]]\nmatch = '^/x'\nto = '$http_referer'\nthen = 'redirect'",
        None,
    ),
    "two slashes": (
        HEAD + location("/go", "redirect = '//other.example/x'"),
        (
            "site 'a.b', location '/go': '//other.example/x' is a host to a browser, and no path (begin with one "
            "slash, or with https://)"
        ),
    ),
    "host that anybody chooses": (
        HEAD + "default = true\n" + location("/go", "redirect = 'https://$host$request_uri'"),
        (
            "site 'a.b', location '/go': 'https://$host$request_uri' repeats the host of the request, and the default "
            "site answers for any (name the host)"
        ),
    ),
    "alias without a slash": (
        HEAD + location("/img", "alias = 'www'"),
        (
            "site 'a.b', location '/img': also answers for /img-and-more, where it finds nothing (nginx would serve "
            'what is beside the folder) (write match = "/img/")'
        ),
    ),
    "expression that takes everything": (
        HEAD + location("~ ^/", "respond = 200") + location(r"~ \.php$", "respond = 404"),
        r"site 'a.b', location '~ \\.php$': '~ ^/' comes first and matches every path (put it before)",
    ),
    "expression twice": (
        HEAD + location(r"~* \.php$", "respond = 200") + location(r"~ \.php$", "respond = 404"),
        r"site 'a.b', location '~ \\.php$': the same expression stands before it (make one of the two)",
    ),
    "prefix that does not keep out": (
        HEAD + location("/private/", "respond = 403") + location(r"~ \.php$", "respond = 'x'"),
        (
            r"site 'a.b', location '/private/': '~ \\.php$' comes before it for /private/secret.php (write match = "
            '"^~ /private/")'
        ),
    ),
    "nothing at all": (
        '[[site]]\nnames = ["a.b"]',
        "site 'a.b': has neither a root nor a location: every answer is 404 (add root)",
    ),
    "the machine": (
        '[[site]]\nnames = ["a.b"]\nroot = "/"',
        "site 'a.b': serves the whole machine (name a folder of its own)",
    ),
    "the configuration": (
        '[[site]]\nnames = ["a.b"]\nroot = "."',
        "site 'a.b': anybody can fetch chute.toml from",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WARNED.values(), ids=WARNED)
def test_trap_is_told(tmp_path: Path, text: str, expected: str | None):
    found = traps(tmp_path, text)
    if expected is None:
        assert any("whatever the client asks for" in each for each in found)
    else:
        assert any(each.startswith(expected) for each in found), found


@pytest.mark.parametrize(
    ("name", "rest", "is_told"),
    [
        ("id_rsa", "", True),
        ("server.key", "", True),
        ("dump.sql", "", True),
        (".env", "", False),
        (".env", "files = { hidden = true }", True),
        (".git/config", "files = { hidden = true }", True),
        ("index.html", "", False),
        ("keyboard.txt", "", False),
    ],
)
def test_secrets_beneath_a_root_are_told(tmp_path: Path, name: str, rest: str, is_told: bool):
    found = traps(tmp_path, HEAD + rest, beneath=(name,))
    assert any("anybody can fetch" in each for each in found) is is_told


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + location("/img/", "alias = 'www'"),
        HEAD + location("/go", "redirect = 'https://$host$request_uri'"),
        HEAD + location("/go", "redirect = '/x?next=$arg_to'"),
        HEAD + location("^~ /private/", "respond = 403") + location(r"~ \.php$", "respond = 'x'"),
        HEAD + location(r"~ \.php$", "respond = 200") + location("~ ^/", "respond = 404"),
        HEAD + location(r"~ \.php$", "respond = 200") + location(r"~* \.php$", "respond = 404"),
        '[[site]]\nroot = "www"\n',
    ],
)
def test_what_is_usual_is_no_trap(tmp_path: Path, text: str):
    assert traps(tmp_path, text) == []
