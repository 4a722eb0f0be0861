"""Hosts: the names that sites may have, and which site answers."""

from __future__ import annotations

import re

import pytest

from chute.errors import ConfigError
from chute.routing.hosts import HostName, Hosts, NameKind, parse_name

NAMES = {
    "example.org": (NameKind.EXACT, "example.org"),
    "Example.ORG": (NameKind.EXACT, "example.org"),
    "example.org.": (NameKind.EXACT, "example.org"),
    "localhost": (NameKind.EXACT, "localhost"),
    "127.0.0.1": (NameKind.EXACT, "127.0.0.1"),
    "[::1]": (NameKind.EXACT, "[::1]"),
    "[FE80::A]": (NameKind.EXACT, "[fe80::a]"),
    "a_b.example": (NameKind.EXACT, "a_b.example"),
    "": (NameKind.EXACT, ""),
    "_": (NameKind.EXACT, "_"),
    "*.example.org": (NameKind.SUFFIX, "example.org"),
    "*.ORG": (NameKind.SUFFIX, "org"),
    "www.*": (NameKind.PREFIX, "www"),
    "www.a.*": (NameKind.PREFIX, "www.a"),
    ".example.org": (NameKind.SUFFIX_AND_ITSELF, "example.org"),
    "~^www[0-9]+\\.": (NameKind.REGEX, "^www[0-9]+\\."),
    "~^A B$": (NameKind.REGEX, "^A B$"),
    # IDNA's examples: the letters, and what stands in requests (RFC 5890, 2.3.2.1).
    "b\u00fccher.example": (NameKind.EXACT, "xn--bcher-kva.example"),
    "B\u00dcCHER.example": (NameKind.EXACT, "xn--bcher-kva.example"),
    "*.b\u00fccher.example": (NameKind.SUFFIX, "xn--bcher-kva.example"),
    "b\u00fccher.*": (NameKind.PREFIX, "xn--bcher-kva"),
    ".\u4f8b\u3048.jp": (NameKind.SUFFIX_AND_ITSELF, "xn--r8jz45g.jp"),
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items(), ids=NAMES.keys())
def test_name_is_read(text: str, expected: tuple[NameKind, str]):
    assert parse_name(text) == HostName(*expected)


@pytest.mark.parametrize("text", NAMES)
def test_name_is_shown_as_it_may_be_written(text: str):
    name = parse_name(text)
    assert parse_name(str(name)) == name


NONSENSE = {
    "two stars": "*.*.example",
    "a star at both ends": "*.example.*",
    "a star in the middle": "www.*.example",
    "a star in a label": "a*b.example",
    "a star alone": "*",
    "a star and a dot": "*.",
    "a dot and a star": ".*",
    "a dot": ".",
    "an empty label": "a..b",
    "a suffix that ends with a dot": "*.example.",
    "a blank": "a b.example",
    "a blank at the end": "example.org ",
    "a path": "example.org/a",
    "a scheme": "http://example.org",
    "a user": "me@example.org",
    "a hyphen in front": "-a.example",
    "an address without its brackets": "::1",
    "a tilde alone": "~",
    "a line break": "example.org\n",
    "letters that IDNA does not know": "\u2665\ud800.example",
    "an empty label among letters": "b\u00fccher..example",
    "a label that is too long as A-label": "\u00fc" * 64,
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused(text: str):
    with pytest.raises(ConfigError):
        parse_name(text)


@pytest.mark.parametrize("text", ["example.org:8080", "*.example.org:80", "[::1]:80", "www.*:80"])
def test_port_in_a_name_is_refused(text: str):
    with pytest.raises(ConfigError) as error:
        parse_name(text)
    assert error.value.hint


# --------------------------------------------------------------------------- the choice


def hosts_of(*names: str) -> Hosts[str]:
    """Make hosts, each of which leads to its own name."""
    hosts = Hosts("default")
    for name in names:
        pattern = re.compile(name[1:].encode()) if name.startswith("~") else None
        hosts.add(name, name or "empty", pattern)
    return hosts


EVERY_KIND = ["~^www", "~example", "www.*", "www.a.*", "*.example", "*.a.example", "www.example"]

CHOICES = {
    "exact first": ("www.example", EVERY_KIND, "www.example"),
    "then suffix": ("www.b.example", EVERY_KIND, "*.example"),
    "the longest suffix": ("www.b.a.example", EVERY_KIND, "*.a.example"),
    "then prefix": ("www.b", EVERY_KIND, "www.*"),
    "the longest prefix": ("www.a.b", EVERY_KIND, "www.a.*"),
    "then the first regex": ("wwwexample", EVERY_KIND, "~^www"),
    "the second regex, where the first does not match": ("anexample", EVERY_KIND, "~example"),
    "then the default": ("other", EVERY_KIND, "default"),
    "suffix without anything before it": ("example", ["*.example"], "default"),
    "suffix is one of labels": ("anexample.org", ["*.example.org"], "default"),
    "suffix after several labels": ("a.b.c.example", ["*.example"], "*.example"),
    "suffix after an empty label": (".example", ["*.example"], "*.example"),
    "prefix without anything after it": ("www", ["www.*"], "default"),
    "prefix before several labels": ("www.b.c.example", ["www.*"], "www.*"),
    "prefix is one of labels": ("www2.example", ["www.*"], "default"),
    "dot in front is for the host itself": ("example.org", [".example.org"], ".example.org"),
    "dot in front is for all beneath": ("a.example.org", [".example.org"], ".example.org"),
    "dot in front is one of labels": ("anexample.org", [".example.org"], "default"),
    "case": ("WWW.Example.ORG", ["www.example.org"], "www.example.org"),
    "case in the name": ("www.example.org", ["WWW.Example.ORG"], "WWW.Example.ORG"),
    "port": ("example.org:8080", ["example.org"], "example.org"),
    "port without a number": ("example.org:", ["example.org"], "example.org"),
    "dot at the end": ("example.org.", ["example.org"], "example.org"),
    "dot at the end and port": ("example.org.:80", ["example.org"], "example.org"),
    "two dots at the end": ("example.org..", ["example.org"], "default"),
    "address": ("127.0.0.1:80", ["127.0.0.1"], "127.0.0.1"),
    "address in brackets": ("[::1]", ["[::1]"], "[::1]"),
    "address in brackets, and port": ("[::1]:80", ["[::1]"], "[::1]"),
    "address in brackets, in another case": ("[FE80::a]:80", ["[fe80::A]"], "[fe80::A]"),
    "letters": ("xn--bcher-kva.example", ["b\u00fccher.example"], "b\u00fccher.example"),
    "letters beneath": ("a.XN--BCHER-KVA", ["*.b\u00fccher"], "*.b\u00fccher"),
    "no host": ("", ["example.org", ""], "empty"),
    "no host, and nobody for it": ("", ["example.org", "*.org", "www.*"], "default"),
    "no host is no match of a regex": ("", ["~^$", "~.*"], "default"),
    "underscore is a name like any other": ("other", ["_"], "default"),
}  # fmt: skip


@pytest.mark.parametrize(("authority", "names", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_host_leads_to_the_site_that_nginx_chooses(authority: str, names: list[str], expected: str):
    assert hosts_of(*names).find(authority.encode())[0] == expected


@pytest.mark.parametrize(("authority", "names", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_order_of_names_does_not_count_but_for_regexes(
    authority: str, names: list[str], expected: str
):
    literal_first = sorted(names, key=lambda name: name.startswith("~"))
    assert hosts_of(*literal_first).find(authority.encode())[0] == expected


def test_match_of_a_regex_is_handed_out_with_its_groups():
    value, match = hosts_of("~^(?P<user>.+)\\.home$").find(b"Me.home:80")
    assert value == "~^(?P<user>.+)\\.home$"
    assert match is not None
    assert match["user"] == b"me"


def test_literal_name_has_no_match():
    assert hosts_of("a", "*.a", "a.*").find(b"a") == ("a", None)
    assert hosts_of("a", "*.a", "a.*").find(b"b.a") == ("*.a", None)
    assert hosts_of("a", "*.a", "a.*").find(b"a.b") == ("a.*", None)
    assert hosts_of("a").find(b"b") == ("default", None)


@pytest.mark.parametrize("name", ["example.org", "*.example.org", "example.*", ".example.org"])
def test_first_that_claims_a_name_keeps_it(name: str):
    hosts = Hosts("default")
    hosts.add(name, "first")
    hosts.add(name.upper(), "second")
    for host in (b"example.org", b"a.example.org", b"example.a"):
        assert hosts.find(host)[0] in ("first", "default")
    assert "second" not in {hosts.find(host)[0] for host in (b"example.org", b"a.example.org")}


def test_nonsense_is_not_added():
    hosts = Hosts("default")
    with pytest.raises(ConfigError):
        hosts.add("a..b", "value")
    assert hosts.find(b"a..b") == ("default", None)


@pytest.mark.parametrize(
    "host",
    [
        b"\xff",
        b"\xc3\xbc.example",
        b"a\0b",
        b"%61",
        b"[",
        b"]",
        b"[::1",
        b":",
        b":80",
        b".",
        b"...",
    ],
)
def test_odd_host_leads_somewhere(host: bytes):
    """What the grammar lets through, and more: a host is looked up, never decoded."""
    value, _ = hosts_of("a", "*.b", "c.*", "~^d$").find(host)
    assert value == "default"


WORDS = {
    "www.example": "exactly this name",
    "b.a.example": "*.a.example, the longest suffix",
    "www.a.b": "www.a.*, the longest prefix",
    "wwwexample": "~^www, the first regular expression that matches",
    "other": "no site has this name, and this is the default",
    "": "no site has this name, and this is the default",
}


@pytest.mark.parametrize(("host", "words"), WORDS.items(), ids=WORDS.keys())
def test_choice_is_told_in_words(host: str, words: str):
    assert hosts_of(*EVERY_KIND, "~^$").how(host.encode()) == words


@pytest.mark.parametrize(("authority", "names", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_words_agree_with_the_choice(authority: str, names: list[str], expected: str):
    words = hosts_of(*names).how(authority.encode())
    assert words.endswith("the default") == (expected == "default")
