"""What was meant by a name that there is not."""

from __future__ import annotations

import pytest

from chute.config.spelling import SYNONYMS, did_you_mean, nearest

KNOWN = ("site", "names", "listeners", "location", "error_pages", "head_timeout", "tls", "cache")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        pytest.param("site", "site", id="right already"),
        pytest.param("sites", "site", id="plural"),
        pytest.param("name", "names", id="singular"),
        pytest.param("Names", "names", id="case"),
        pytest.param("error-pages", "error_pages", id="hyphen"),
        pytest.param("ERROR_PAGE", "error_pages", id="all of it"),
        pytest.param("lokation", "location", id="slip"),
        pytest.param("loaction", "location", id="letters changed about"),
        pytest.param("head_timout", "head_timeout", id="letter missing"),
        pytest.param("server", "site", id="synonym"),
        pytest.param("server-name", "names", id="synonym with a hyphen"),
        pytest.param("expires", "cache", id="synonym that ends like a plural"),
        pytest.param("gzip", None, id="synonym of what is not known here"),
        pytest.param("quite_another_thing", None, id="nothing near"),
        pytest.param("", None, id="nothing at all"),
    ],
)
def test_nearest_is_found(word: str, meant: str | None):
    assert nearest(word, KNOWN) == meant


@pytest.mark.parametrize(("word", "meant"), SYNONYMS.items())
def test_every_synonym_leads_to_what_it_stands_for(word: str, meant: str):
    assert nearest(word, [meant, "zzz"]) == meant


def test_right_spelling_wins_over_its_plural():
    for known in (["host", "hosts"], ["hosts", "host"]):
        assert [nearest(word, known) for word in ("host", "hosts")] == ["host", "hosts"]


def test_table_of_synonyms_may_be_another():
    assert nearest("vhost", ["site"], {"vhosts": "site"}) == "site"
    assert nearest("server", ["site"], {}) is None


def test_words_may_come_from_anything():
    assert nearest("sites", iter(KNOWN)) == "site"
    assert nearest("sites", dict.fromkeys(KNOWN)) == "site"


def test_hint_asks_for_what_is_near():
    assert did_you_mean("lokation", iter(KNOWN)) == "did you mean 'location'?"


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        pytest.param([], "", id="nothing there"),
        pytest.param(["web"], "there is 'web'", id="one"),
        pytest.param(["web", "api"], "there are 'api', 'web'", id="two"),
        pytest.param(
            "hgfedcba", "there are 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'", id="as many as shown"
        ),
        pytest.param(
            "ihgfedcba", "there are 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and others", id="more"
        ),
    ],
)
def test_hint_names_what_there_is(known: list[str], hint: str):
    assert did_you_mean("quite_another_thing", known) == hint
