"""What is told about a file that is not right: everything, where it is, and what to write instead."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chute.config.decode import decode
from chute.config.descriptions import first_places, keys_of
from chute.config.document import Document, LocationTable, SiteTable
from chute.config.problems import Located, show_path
from chute.config.quantities import Duration, Quantity, Size, decode_quantity
from chute.errors import ConfigError


def told(text: str) -> list[str]:
    """Return what a user reads about a file of that text, without its name."""
    document, problems = decode(tomllib.loads(text))
    assert (document is None) == bool(problems)
    return [str(Located("", 0, show_path(path), *rest)).lstrip(": ") for path, *rest in problems]


def hint_of(kind: type[Quantity], written: object) -> str:
    """Return what a quantity itself says to who writes it wrong."""
    with pytest.raises(ConfigError) as caught:
        kind.parse(written)
    return caught.value.hint


def test_right_document_is_decoded_without_a_problem():
    text = "[limits]\nsend_timeout = '75s'\n[[site]]\n[[site.location]]\nmatch = '/'\nrespond = 204"
    document, problems = decode(tomllib.loads(text))
    assert problems == []
    assert document is not None
    assert document.limits is not None
    assert document.limits.send_timeout == Duration(75.0)
    assert document.site == (SiteTable(location=(LocationTable(match="/", respond=204),)),)


def test_empty_document_is_right():
    assert decode({}) == (Document(), [])


IN_FILES = "[[site]]\n[site.files]\n"

UNKNOWN = {
    "a slip": (
        "wrokers = 1",
        "wrokers: a configuration has no key 'wrokers' (did you mean 'workers'?)",
    ),
    "a plural": (
        "[[sites]]",
        "sites: a configuration has no key 'sites' (did you mean 'site'?)",
    ),
    "a key of a table beneath": (
        "[[site]]\nlisting = true",
        "site[0].listing: [[site]] has no key 'listing' ('listing' belongs under [site.files])",
    ),
    "a key of a table beneath, with a dash": (
        "[[site]]\ntry-files = ['$uri']",
        "site[0].try-files: [[site]] has no key 'try-files' ('try_files' belongs under [site.files])",
    ),
    "a key of two tables beneath": (
        "[[site]]\n[[site.location]]\nmatch = '/'\nstatus = 301",
        (
            "site[0].location[0].status: [[site.location]] has no key 'status'"
            " ('status' belongs under [site.location.redirect] or [site.location.respond])"
        ),
    ),
    "a key of a wider table": (
        "[[site]]\n[[site.location]]\nmatch = '/'\nnames = ['a']",
        (
            "site[0].location[0].names: [[site.location]] has no key 'names'"
            " ('names' belongs under [[site]])"
        ),
    ),
    "a key of no table": (
        "[limits]\nworkers = 4",
        "limits.workers: [limits] has no key 'workers' ('workers' belongs before all tables)",
    ),
    "a table in the wrong place": (
        "[files]\nlisting = true",
        (
            "files: a configuration has no table 'files'"
            " ('files' belongs under [defaults] or [[site]])"
        ),
    ),
    "a table that is named": (
        "[listener.'my web']\nbind = ':80'\nmod = '0660'",
        "listener.\"my web\".mod: [listener.'my web'] has no key 'mod' (did you mean 'mode'?)",
    ),
    "a word of nginx": (
        "[[site]]\nserver_name = 'a'",
        "site[0].server_name: [[site]] has no key 'server_name' (did you mean 'names'?)",
    ),
    "a word of nginx for a key beneath": (
        "[[site]]\ngzip = true",
        "site[0].gzip: [[site]] has no key 'gzip' (did you mean 'compress', under [site.files]?)",
    ),
    "a word of nginx for a key elsewhere": (
        "[[site]]\n[[site.location]]\nmatch = '/'\nserver_name = 'a'",
        (
            "site[0].location[0].server_name: [[site.location]] has no key 'server_name'"
            " (did you mean 'names', under [[site]]?)"
        ),
    ),
    "nothing that anybody knows, in a small table": (
        "[[site]]\n[site.tls]\ncertificate = 'a'\nzzz = 1",
        "site[0].tls.zzz: [site.tls] has no key 'zzz' (there are 'certificate' and 'key')",
    ),
    "nothing that anybody knows, in a large table": (
        "[[site]]\nzzz = 1",
        "site[0].zzz: [[site]] has no key 'zzz' (check the spelling)",
    ),
    "an inline table": (
        "[[site]]\nrewrite = [{ redirect = { to = '/', code = 301 } }]",
        (
            "site[0].rewrite[0].redirect.code: [site.rewrite.redirect] has no key 'code'"
            " (did you mean 'status'?)"
        ),
    ),
    "a location in a location": (
        "[[site]]\n[[site.location]]\nmatch = '/'\n[[site.location.location]]\nmatch = '/'\nspa = true",
        (
            "site[0].location[0].location[0].spa: [[site.location.location]] has no key 'spa'"
            " ('spa' belongs under [site.location.location.files])"
        ),
    ),
}

OF_ANOTHER_KIND = {
    "a word for truth": (
        f"{IN_FILES}listing = 'yes'",
        (
            "site[0].files.listing: expected true or false for 'listing', found the string \"yes\""
            " (write listing = true)"
        ),
    ),
    "a number for truth": (
        f"{IN_FILES}hidden = 0",
        (
            "site[0].files.hidden: expected true or false for 'hidden', found the integer 0"
            " (write hidden = false)"
        ),
    ),
    "text for truth": (
        f"{IN_FILES}listing = 'json'",
        (
            "site[0].files.listing: expected true or false for 'listing', found the string \"json\""
            " (listing: whether a folder without an index page shows what is in it)"
        ),
    ),
    "text for a number": (
        f"{IN_FILES}open_files = '10'",
        (
            "site[0].files.open_files: expected an integer for 'open_files', found the string \"10\""
            " (write open_files = 10)"
        ),
    ),
    "a number for text": (
        f"{IN_FILES}charset = 8859",
        (
            "site[0].files.charset: expected a string for 'charset', found the integer 8859"
            ' (write charset = "8859")'
        ),
    ),
    "text for a list": (
        "include = 'sites/*.toml'",
        (
            "include: expected an array of strings for 'include', found the string \"sites/*.toml\""
            ' (write include = ["sites/*.toml"])'
        ),
    ),
    "a number in a list": (
        "[[site]]\nnames = ['a', 5]",
        (
            "site[0].names[1]: expected a string for an element of 'names', found the integer 5"
            ' (write "5")'
        ),
    ),
    "a number in a table of texts": (
        "[defaults.fields]\nX-A = 1.5",
        (
            "defaults.fields.X-A: expected a string for 'X-A', found the number 1.5"
            ' (write X-A = "1.5")'
        ),
    ),
    "one site for many": (
        "[site]\nroot = '/'",
        (
            "site: expected an array of tables for 'site', found a table"
            " (write [[site]], in double brackets)"
        ),
    ),
    "many tables for one": (
        "[[site]]\n[[site.tls]]\ncertificate = 'a'",
        (
            "site[0].tls: expected a table for 'tls', found an array"
            " (write [site.tls], in single brackets)"
        ),
    ),
    "one log for many": (
        "[defaults.log]\npath = 'a'",
        (
            "defaults.log: expected a string or an array of tables for 'log', found a table"
            " (write [[defaults.log]], in double brackets)"
        ),
    ),
    "an array for tables with names": (
        "[[listener]]\nbind = ':80'",
        (
            "listener: expected a table of tables for 'listener', found an array"
            " (write [listener.NAME], in single brackets)"
        ),
    ),
    "a table without a name": (
        "[listener]\nbind = ':80'",
        (
            "listener.bind: expected a table for 'bind', found the string \":80\""
            " (each listener has a name: write [listener.NAME] above)"
        ),
    ),
    "a date": (
        "poller = 2020-01-01",
        (
            'poller: expected "auto" or "portable" for \'poller\', found a date or time'
            ' (poller: `"auto"` takes epoll where there is one; `"portable"` does without)'
        ),
    ),
    "truth for a quantity": (
        f"{IN_FILES}compress_min = true",
        (
            "site[0].files.compress_min: expected a size for 'compress_min', found true"
            " (compress_min: smaller files are not)"
        ),
    ),
    "truth for a table": (
        "[[site]]\nauth = true",
        (
            "site[0].auth: expected \"off\" or a table for 'auth', found true"
            ' (auth: who may come in; `"off"` for everybody)'
        ),
    ),
    "half a process": (
        "workers = 1.5",
        (
            "workers: expected an integer or \"auto\" for 'workers', found the number 1.5"
            ' (workers: serving processes; `"auto"` for one per core)'
        ),
    ),
    "half a status": (
        "[[site]]\n[[site.location]]\nmatch = '/'\nrespond = 204.5",
        (
            "site[0].location[0].respond: expected an integer, a string or a table for 'respond',"
            " found the number 204.5 (respond: a fixed answer: a status, a text or a table)"
        ),
    ),
    "long text": (
        f"{IN_FILES}open_files = '{'x' * 50}'",
        (
            "site[0].files.open_files: expected an integer for 'open_files',"
            f' found the string "{"x" * 40}..." (open_files: how many files are kept open between requests)'
        ),
    ),
}

WORDS_AND_QUANTITIES = {
    "a slip in a word": (
        f"{IN_FILES}links = 'benath'",
        (
            "site[0].files.links: 'links' cannot be \"benath\""
            ' (did you mean "beneath"? expected "beneath", "deny", "follow" or "owner")'
        ),
    ),
    "another word": (
        "[[site]]\ncors = 'on'",
        'site[0].cors: \'cors\' cannot be "on" (expected "off" or a table)',
    ),
    "a word for a number": (
        "workers = 'many'",
        'workers: \'workers\' cannot be "many" (expected an integer or "auto")',
    ),
    "digits for a number or a word": (
        "workers = '4'",
        "workers: 'workers' cannot be \"4\" (write workers = 4)",
    ),
    "text for a word or a list": (
        "[[site]]\ncors = { origins = 'https://a' }",
        'site[0].cors.origins: \'origins\' cannot be "https://a" (write origins = ["https://a"])',
    ),
    "no duration": (
        "[limits]\nhead_timeout = '1x'",
        (
            "limits.head_timeout: '1x' is no duration for 'head_timeout'"
            f" ({hint_of(Duration, '1x')})"
        ),
    ),
    "half a byte": (
        f"{IN_FILES}sendfile_min = 1.5",
        (
            "site[0].files.sendfile_min: 1.5 is no whole number of bytes for 'sendfile_min'"
            f" ({hint_of(Size, 1.5)})"
        ),
    ),
}

MISSING = {
    "a key": (
        "[[site]]\n[[site.location]]\nrespond = { text = 'a' }\nredirect = { status = 301 }\nmatch = '/'",
        (
            "site[0].location[0].redirect: [site.location.redirect] needs a key 'to'"
            " (to: a path, or a whole URL; may contain variables)"
        ),
    ),
    "a key of a table that is named": (
        "[upstream.app]",
        (
            "upstream.app: [upstream.app] needs a key 'servers'"
            ' (servers: `"HOST:PORT"` or `"unix:PATH"`)'
        ),
    ),
    "a key of one of many": (
        "[[defaults.log]]\npath = '-'\n[[defaults.log]]\nformat = 'json'",
        (
            "defaults.log[1]: [[defaults.log]] needs a key 'path'"
            ' (path: a file to append to, or `"-"` for standard output)'
        ),
    ),
    "a key that is there with a slip": (
        "[listener.web]\nbnd = ':80'",
        "listener.web.bnd: [listener.web] has no key 'bnd' (did you mean 'bind'?)",
    ),
}

TOLD = UNKNOWN | OF_ANOTHER_KIND | WORDS_AND_QUANTITIES | MISSING


@pytest.mark.parametrize(("text", "expected"), TOLD.values(), ids=TOLD.keys())
def test_user_is_told(text: str, expected: str):
    assert told(text) == [expected]


def test_all_problems_are_told_in_the_order_of_the_file():
    text = (
        "workers = 'few'\n[limits]\nhead_max = []\n"
        "[[site]]\nlisting = true\n[[site.location]]\nrespond = 200.5\n[[site]]\nnames = [1, 'a', 2]"
    )
    _, problems = decode(tomllib.loads(text))
    assert [problem.path for problem in problems] == [
        ("workers",),
        ("limits", "head_max"),
        ("site", 0, "listing"),
        ("site", 0, "location", 0, "respond"),
        ("site", 0, "location", 0),
        ("site", 1, "names", 0),
        ("site", 1, "names", 2),
    ]
    assert all(problem.what and problem.hint for problem in problems)


def test_what_is_no_table_at_all_is_told():
    assert [problem.what for problem in decode([])[1]] == ["expected a table, found an array"]


def test_locations_nested_without_end_are_a_problem_and_not_a_crash():
    nested: dict[str, object] = {"match": "/"}
    for _ in range(100_000):
        nested = {"match": "/", "location": [nested]}
    _, problems = decode({"site": [nested]})
    assert [problem.what for problem in problems] == ["tables are nested too deeply"]
    while nested.get("location"):  # or to free it would nest as deeply
        nested = nested.pop("location")[0]  # type: ignore[index]


# ------------------------------------------------------------------ the two readers agree

SCALARS = st.one_of(
    st.sampled_from(["off", "auto", "on", "beneath", "", "*", "10K", "75s", "1 MiB/s", "x", "4"]),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.dates(),
    st.just(dt.time(12)),
)

KEYS = st.sampled_from(sorted({key for place in first_places() for key in keys_of(place.table)}))

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def tables(table: type[msgspec.Struct], depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Return tables that are mostly right: keys of `table` with values that may be meant for them."""
    values = {}
    for key in keys_of(table).values():
        inner = [SCALARS, VALUES]
        for place in first_places() if depth else ():
            if any(getattr(kind, "cls", None) is place.table for kind in key.kinds):
                inner.append(tables(place.table, depth - 1))
            if any(
                getattr(getattr(kind, "item_type", None), "cls", None) is place.table
                for kind in key.kinds
            ):
                inner.append(st.lists(tables(place.table, depth - 1), max_size=2))
        values[key.name] = st.one_of(inner)
    some = st.lists(st.sampled_from(sorted(values)), unique=True, max_size=3)
    return some.flatmap(lambda names: st.fixed_dictionaries({name: values[name] for name in names}))


@given(st.one_of(VALUES, st.deferred(lambda: tables(Document))))
@example({"workers": 10**30})
@example({"defaults": {"log": [{"path": "-", "sample": 1}]}})
def test_both_readers_refuse_the_same(value: object):
    """A walk that is stricter would complain of what is right as soon as anything else is wrong."""
    try:
        expected = msgspec.convert(value, Document, dec_hook=decode_quantity, strict=True)
    except (msgspec.ValidationError, ConfigError) as error:
        first = str(error)
    else:
        assert decode(value) == (expected, [])
        spoilt = {**value, "unknown key": 1} if isinstance(value, dict) else value
        assert [problem.path for problem in decode(spoilt)[1]] == [("unknown key",)]
        return
    document, problems = decode(value)
    assert document is None
    assert problems
    assert first not in [problem.what for problem in problems]
