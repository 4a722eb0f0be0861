"""nginx as the oracle for the choice of a site: sets of server names, and many Host values for each of them.

Each set has a listener of its own in nginx, whose first server is the default. Equal must be the site that answers, and
the first group of the regular expression that chose it; or else that the Host is refused (400).

Differences, each compared exactly:

- Names in Unicode. nginx has no IDNA: it is given the A-labels, chute the letters.
- A host with an empty label in the middle (`a..b`), or that is nothing but a dot. nginx refuses it; the grammar of RFC
  3986 has it as a reg-name, and chute routes it as any other. Nobody can resolve such a name.
- An address in brackets with something before or after it that is no port (`a.[::1]`, `[::1].org`). nginx takes the
  part that it understands and ignores the rest; by RFC 3986, 3.2.2 that is no host, and chute refuses it.

Not drawn: two names of one set that claim the same host, like `a.b` and `.a.b`. nginx ignores the second with a
warning, all of it; a configuration of chute that has one name twice is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from chute.http1 import grammar
from chute.routing.hosts import Hosts, NameKind, parse_name
from nginx_locations import answering_nginx, answers, drawn, quoted
from oracle import NGINX

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

SETS = 340
HOSTS = 40

# As chute is told, and as nginx is. The A-labels are RFC 3492's and IDNA's own examples, not computed here.
LABELS = {
    "a": "a",
    "b": "b",
    "B": "b",
    "www": "www",
    "example": "example",
    "EXAMPLE": "example",
    "org": "org",
    "x-1": "x-1",
    "1": "1",
    "b\u00fccher": "xn--bcher-kva",
    "B\u00dcCHER": "xn--bcher-kva",
    "\u4f8b\u3048": "xn--r8jz45g",
}

REGEXES = [
    r"~^www\.(.+)$", r"~^(a|b)\.", r"~\.org$", r"~^(.*)\.example", r"~b", r"~A", r"~^$", r"~^[^.]+$", r"~^xn--(\w+)",
    r"~^(?:)$", r"~[0-9]", r"~:", r"~^\[", r"~\.$", r"~Example\.ORG$",
]  # fmt: skip

LITERAL_HOSTS = [
    "", ".", "a.", "a..b", "..", ".a.b", "[::1]", "[::1]:80", "127.0.0.1", "127.0.0.1:8080", "a.b:", "a.b.:80", "_",
    "-", "a_b", "%61", "localhost",
]  # fmt: skip


class Names(NamedTuple):
    """A set of sites: the names of each, as chute and as nginx are told of them; and the hosts that are asked for."""

    ours: tuple[tuple[str, ...], ...]
    theirs: tuple[tuple[str, ...], ...]
    hosts: tuple[str | None, ...]


hosts_in_labels = st.lists(st.sampled_from(list(LABELS)), min_size=1, max_size=4)


@st.composite
def names(draw: st.DrawFn) -> tuple[str, str]:
    """Make a name in both spellings."""
    if draw(st.integers(0, 3)) == 0:
        regex = draw(st.sampled_from(REGEXES))
        return regex, regex
    special = draw(st.integers(0, 12))
    if special == 0:
        name = draw(st.sampled_from(["", "_", "[::1]", "127.0.0.1"]))
        return name, name
    labels = draw(hosts_in_labels)
    form = draw(st.sampled_from(["{}", "{}", "*.{}", "{}.*", ".{}"]))
    return form.format(".".join(labels)), form.format(".".join(LABELS[each] for each in labels))


def without_overlaps(names_of_all: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the names without those that claim a host which an earlier one has claimed."""
    kept = []
    taken: set[str] = set()
    for name in names_of_all:
        theirs = name[1]
        claims = {theirs[1:], f"*{theirs}"} if theirs.startswith(".") else {theirs}
        if not claims & taken:
            taken |= claims
            kept.append(name)
    return kept


@st.composite
def sets(draw: st.DrawFn) -> Names:
    chosen = without_overlaps(draw(st.lists(names(), min_size=1, max_size=12)))
    sites_count = draw(st.integers(2, 5))
    # The first site is the default; it has names as well, or none that anybody asks for.
    sites: list[list[tuple[str, str]]] = [[("default.invalid", "default.invalid")]]
    sites += [[] for _ in range(sites_count)]
    for name in chosen:
        sites[draw(st.integers(0, sites_count))].append(name)
    known = [name[1].strip("*.") for name in chosen if not name[1].startswith("~")]
    near = st.builds(
        lambda before, host, after: before + host + after,
        st.sampled_from(["", "", "a.", "www.", "x.y.", ".", "x", "WWW.", "xn--bcher-kva."]),
        st.sampled_from(known or ["a"]),
        st.sampled_from(["", "", ".", ":80", ".:8080", ".a", ".org", ".example.org", "x"]),
    )
    far = st.builds(
        lambda labels, change: change(".".join(LABELS[each] for each in labels)),
        hosts_in_labels,
        st.sampled_from([str, str.upper, str.title]),
    )
    host = st.one_of(near, near, far, st.sampled_from(LITERAL_HOSTS), st.none())
    hosts = draw(st.lists(host, min_size=HOSTS, max_size=HOSTS, unique=True))
    filled = [site for site in sites if site]
    return Names(
        tuple(tuple(name[0] for name in site) for site in filled),
        tuple(tuple(name[1] for name in site) for site in filled),
        tuple(hosts),
    )


def for_nginx(sites: tuple[tuple[str, ...], ...], listening: Path) -> str:
    """Return the sites as nginx has them; each answers with its number and the first group."""
    text = ""
    for number, site in enumerate(sites):
        words = " ".join(quoted(name) for name in site)
        default = "default_server" if number == 0 else ""
        text += f"server {{ listen unix:{listening} {default}; server_name {words};"
        text += f' return 200 "S{number} $1"; }}\n'
    return text


def for_chute(sites: tuple[tuple[str, ...], ...]) -> Hosts[str]:
    hosts = Hosts("S0")
    for number, site in enumerate(sites):
        for name in site:
            pattern = None
            if parse_name(name).kind is NameKind.REGEX:
                pattern = re.compile(name[1:].encode(), re.IGNORECASE)
            hosts.add(name, f"S{number}", pattern)
    return hosts


def our_answer(hosts: Hosts[str], host: str | None) -> str | int:
    """Return what nginx must answer."""
    authority = b"" if host is None else host.encode()
    if host is not None and grammar.HOST.fullmatch(authority) is None:
        return 400
    value, match = hosts.find(authority)
    group = match[1] or b"" if match is not None and match.re.groups else b""
    return f"{value} {group.decode()}"


def has_empty_label(host: str | None) -> bool:
    """Whether nginx refuses a host for its dots, as chute does not."""
    return host is not None and (".." in host or host.partition(":")[0] == ".")


def has_half_an_address(host: str | None) -> bool:
    """Whether chute refuses a host for its brackets, as nginx does not."""
    return host is not None and "[" in host and re.fullmatch(r"\[::1](:[0-9]*)?", host) is None


def request_for(host: str | None) -> bytes:
    if host is None:
        return b"GET / HTTP/1.0\r\n\r\n"
    return b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode()


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Names, str | None, str | int, str | int]]:
    """Every case: a set of sites, a host, their answer and ours."""
    place: Path = tmp_path_factory.mktemp("h")
    place.chmod(0o755)
    cases = list(dict.fromkeys(drawn(sets(), SETS)))
    listening = [place / str(number) for number in range(len(cases))]
    servers = "".join(
        for_nginx(case.theirs, path) for case, path in zip(cases, listening, strict=True)
    )
    found = []
    with answering_nginx(servers, place, listening[-1]):
        for case, path in zip(cases, listening, strict=True):
            theirs = answers(path, [request_for(host) for host in case.hosts])
            hosts = for_chute(case.ours)
            found += [
                (case, host, their_answer, our_answer(hosts, host))
                for host, their_answer in zip(case.hosts, theirs, strict=True)
            ]
    return found


def test_same_site_answers(compared: list[tuple[Names, str | None, str | int, str | int]]):
    assert len({(case.ours, host) for case, host, _, _ in compared}) >= 10_000
    for case, host, theirs, ours in compared:
        if has_empty_label(host):
            assert (ours == 400, theirs) == (False, 400), f"{host!r} in {case.theirs}"
        elif has_half_an_address(host):
            assert (ours, theirs == 400) == (400, False), f"{host!r} in {case.theirs}"
        else:
            assert ours == theirs, f"{host!r} in {case.theirs}"


def test_known_differences_are_rare(
    compared: list[tuple[Names, str | None, str | int, str | int]],
):
    """Those that are not compared for equality must not become most of what is compared."""
    hosts = [host for _, host, _, _ in compared]
    assert 100 < sum(map(has_empty_label, hosts)) < len(hosts) / 10
    assert 20 < sum(map(has_half_an_address, hosts)) < len(hosts) / 50


def test_cases_reach_every_kind_of_name(
    compared: list[tuple[Names, str | None, str | int, str | int]],
):
    """What is compared must not be mostly the default."""
    reached: Counter[object] = Counter()
    for case, host, theirs, _ in compared:
        reached[theirs if isinstance(theirs, int) else "an answer"] += 1
        if not isinstance(theirs, int):
            words = for_chute(case.ours).how(b"" if host is None else host.encode())
            reached[words.split()[-1]] += 1
            reached["a group"] += not theirs.endswith(" ")
    wanted = [400, "name", "suffix", "prefix", "matches", "default", "a group"]
    assert {each: count for each in wanted if (count := reached[each]) < 100} == {}
