"""Reading a try-files list, and telling a navigation from the rest."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.static.candidates import USUAL, Candidate, is_navigation, parse_candidates
from chute.variables.names import Names


def test_list_is_read_in_order():
    assert parse_candidates(["$uri", "$uri.html", "$uri/", "/index.html"]) == (
        Candidate("file"),
        Candidate("file", b".html"),
        Candidate("folder"),
        Candidate("fallback", b"index.html"),
    )
    assert parse_candidates(["$uri", "=410"])[-1] == Candidate("status", status=410)


def test_empty_list_is_the_usual_one():
    assert parse_candidates([]) == USUAL


NOTHING = ["index.html", "/a/", "=99", "=600", "", "a$uri", "/index.php?$args"]


@pytest.mark.parametrize("item", NOTHING)
def test_item_that_means_nothing_is_an_error_that_names_it(item: str):
    with pytest.raises(ConfigError, match="nothing that can be tried") as caught:
        parse_candidates(["$uri", item])
    assert repr(item) in str(caught.value)
    assert "$uri.html" in caught.value.hint


@pytest.mark.parametrize("item", ["/$uri", "$uri/index.html", "/cache/$host$uri.html", "$urine"])
def test_path_with_variables_is_computed(item: str):
    names = Names()
    names.add_set("urine")
    candidate = parse_candidates(["$uri", item], names)[-1]
    assert candidate.kind == "computed"
    assert candidate.template is not None
    assert candidate.template.text == item


def test_unknown_variable_is_an_error():
    with pytest.raises(ConfigError, match=r"no variable \$url") as caught:
        parse_candidates(["$url"])
    assert "$uri" in caught.value.hint


@pytest.mark.parametrize("last", ["/index.html", "=404", "@app"])
def test_item_that_is_never_reached_is_an_error(last: str):
    with pytest.raises(ConfigError, match=r"\$uri/' is never tried"):
        parse_candidates(["$uri", last, "$uri/"])


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        (b"/user/42", None, True),
        (b"/user/42", b"application/json", True),
        (b"/app.js", None, False),
        (b"/app.js", b"*/*", False),
        (b"/app.js", b"text/javascript", False),
        (b"/user/john.doe", b"text/html,application/xhtml+xml,*/*;q=0.8", True),
        (b"/user/john.doe", b"image/avif, TEXT/HTML;q=0.9", True),
        (b"/image.png", b"image/avif,image/webp,*/*", False),
        (b"/image.png", b"x-text/html-like", False),
        (b"/v1.2/users", None, True),
    ],
)
def test_navigation_is_told_by_extension_and_accept(
    path: bytes, accept: bytes | None, expected: bool
):
    assert is_navigation(path, accept) is expected
