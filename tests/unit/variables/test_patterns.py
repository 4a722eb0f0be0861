"""Patterns as people write them for nginx: what is translated, what is refused, and what is too slow."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.variables.backtracking import find_danger
from chute.variables.patterns import compile_pattern

# As they stand in configurations: the pattern, a path that it matches with the groups, and one that it does not match.
REAL = {
    "a rest": (r"^/old/(.*)$", "/old/a/b", ("a/b",), "/older"),
    "anything twice": (r"^/(.*)/x/(.*)$", "/a/x/b", ("a", "b"), "/a/b"),
    "an extension": (r"\.php$", "/a.php", (), "/a.php5"),
    "a split": (r"^(.+\.php)(/.+)$", "/a.php/b", ("/a.php", "/b"), "/a.php"),
    "extensions": (
        r"\.(?:css|js|png|jpe?g|gif|ico|svg|woff2?)$",
        "/a.jpeg",
        (),
        "/a.jpegs",
    ),
    "two segments": (r"^/([^/]+)/([^/]+)/?$", "/a/b/", ("a", "b"), "/a/b/c"),
    "words": (r"(?i)bot|crawler|spider", "a CRAWLER", (), "a reader"),
    "not followed by": (r"/\.(?!well-known)", "/.git", (), "/.well-known/x"),
    "a host": (r"^(?<sub>[a-z0-9-]+)\.example\.org$", "a-1.example.org", ("a-1",), "example.org"),
    "entry points": (
        r"^/(?:index|core/[a-z\d]+|ocs-provider/.+)\.php(?:$|/)",
        "/core/a1.php/x",
        (),
        "/core/.php",
    ),
    "slashes escaped": (
        r"^\/(?:updater|oc[ms]-provider)(?:$|\/)",
        "/ocm-provider",
        (),
        "/ocx-provider",
    ),
    "an extension or more": (r"\.php(?:$|/)", "/a.php/b", (), "/a.phps"),
    "folder and extension": (
        r"^/wp-content/uploads/.*\.(?:php|html?)$",
        "/wp-content/uploads/a/b.htm",
        (),
        "/wp-content/a.php",
    ),
    "a sitemap": (
        r"([^/]*)sitemap(-+([a-zA-Z0-9_-]+))?\.xml$",
        "/x/post-sitemap-2.xml",
        ("post-", "-2", "2"),
        "/post-sitemap/a.xml",
    ),
    "a script in a hidden folder": (r"\..*/.*\.php$", "/a.b.c/d.php", (), "/a/b.php"),
}
TRANSLATED = {
    "the end": (r"a\z", "a", "a\n"),
    "the end or its newline": (r"a\Z", "a\n", "a\nb"),
    "horizontal space": (r"a\hb", "a\tb", "a\nb"),
    "no horizontal space": (r"a\Hb", "a\nb", "a b"),
    "horizontal space in a class": (r"^[\hx]+$", "x \t", "x\v"),
    "vertical space": (r"a\vb", "a\rb", "a\tb"),
    "no newline": (r"a\Nb", "a.b", "a\nb"),
    "letters": (r"^[[:alpha:]_]+$", "Ab_", "a1"),
    "no digits": (r"^[[:^digit:]]+$", "ab-", "a1"),
    "a dash behind a class": (r"^[\w-.]+$", "a-.b", "a/b"),
    "a dash at the end": (r"^[a-]+$", "a-a", "b"),
    "brackets in a class": (r"^[[a]+$", "[a", "b"),
    "a closing bracket first": (r"^[]a]+$", "]a", "[]"),
    "no closing bracket": (r"^[^]a]+$", "bc", "b]"),
    "what re keeps for later": (r"^[a&&b||+--~~]+$", "&|~b-,", "d"),
    "escapes in a class": (r"^[\]\\\/\x41\.\n]+$", "]\\/A.\n", "x"),
    "a literal piece": (r"^\Qa.(b\E+$", "a.(bb", "axb"),
    "a literal piece to the end": (r"\Qa+", "a+", "aa"),
    "a brace": (r"^a{b}$", "a{b}", "ab"),
    "a count": (r"^a{2,3}$", "aaa", "aaaa"),
    "a number in braces": (r"^\x{41}$", "A", "\x04"),
    "a short number": (r"^\x9$", "\t", "9"),
    "an octal number": (r"^\o{101}\07$", "A\a", "101"),
    "a control character": (r"^\cI\e$", "\t\x1b", "I"),
    "a comment": (r"^a(?#nothing\w)b$", "ab", "a"),
    "flags in the middle": (r"^(?:a(?i)b|c)$", "C", "A"),
    "flags taken back": (r"^(?i)a(?-i)b$", "Ab", "AB"),
    "flags of a group": (r"^(?i:a)b$", "Ab", "AB"),
    "flags of a line": (r"(?m)^b$", "a\nb\nc", "a\nbc"),
    "flags without any": (r"^(?)a$", "a", "b"),
    "a name in quotes": (r"^(?'x'a)\k'x'$", "aa", "a"),
    "the name of re": (r"^(?P<x>a)(?P=x)$", "aa", "a"),
    "a reference by name": (r"^(?<x>a|b)\k<x>$", "bb", "ab"),
    "a reference in braces": (r"^(?<x>a|b)\k{x}\g{x}$", "bbb", "bba"),
    "a reference before a digit": (r"^(a)\g{1}1$", "aa1", "a1"),
    "a reference backwards": (r"^(a)(b)\g{-2}$", "aba", "abb"),
    "a condition": (r"^(a)?(?(1)b|c)$", "ab", "b"),
    "a condition by name": (r"^(?<x>a)?(?(<x>)b|c)$", "c", "ac"),
    "an atomic group": (r"^(?>a|ab)c$", "ac", "abc"),
    "a possessive repetition": (r"^a++b$", "aab", "aa"),
    "a lookbehind": (r"(?<=a)b(?<!c)", "ab", "cb"),
    "anything but a newline": (r"^a.b$", "a/b", "a\nb"),
    "an escaped letter beyond ASCII": (r"^\é+$", "éé", "e"),
    "a repeated letter beyond ASCII": (r"^é+$", "éé", "e"),
    "a letter beyond ASCII by number": (r"^\x{263a}$", "☺", ":"),
}
REFUSED = {
    "recursion": (r"a(?R)", "(?R", 1),
    "recursion by number": (r"(a)(?1)", "(?1", 3),
    "recursion by name": (r"(?<x>a)(?&x)", "(?&", 7),
    "recursion by the name of re": (r"(?<x>a)(?P>x)", "(?P>", 7),
    "a subroutine": (r"(?<x>a)\g<x>", "\\g", 7),
    "reset of groups": (r"(?|(a)|(b))", "(?|", 0),
    "a callout": (r"a(?C1)", "(?C", 1),
    "a verb": (r"(*UTF8)a", "(*", 0),
    "a property": (r"a\p{L}", "\\p", 1),
    "a property in a class": (r"[a\p{L}]", "\\p", 2),
    "a line break": (r"a\R", "\\R", 1),
    "a grapheme": (r"a\X", "\\X", 1),
    "a new beginning": (r"a\Kb", "\\K", 1),
    "the last match": (r"\Ga", "\\G", 0),
    "an unknown escape": (r"a\y", "\\y", 1),
    "a backslash at the end": ("a\\", "\\", 1),
    "a condition of its own": (r"(?(?=a)b|c)", "(?(", 0),
    "an unknown group": (r"a(?~b)", "(?~", 1),
    "spaces that mean nothing": (r"(?x)a b", "(?x)", 0),
    "lazy by default": (r"(?U)a+", "(?U)", 0),
    "a count from nothing": (r"a{,3}", "{,", 1),
    "a letter beyond ASCII in a class": (r"a[bé]", "é in '[...]'", 3),
    "a number beyond a byte in a class": (r"[\x{100}]", "\\x{100}", 1),
    "a range downwards": (r"a[z-a]", "z-a", 2),
    "an open class": (r"a[bc", "[", 1),
    "an unknown class": (r"[[:letter:]]", "[:letter:]", 1),
    "a name that begins with a digit": (r"(?<1a>x)", "(?<1a>", 0),
    "a name with a dash": (r"x(?<a-b>x)", "(?<a-b>", 1),
    "a name beyond ASCII": (r"(?<é>x)", "(?<é>", 0),
    "no such character": (r"\x{110000}", "\\x{110000}", 0),
    "no such reference": (r"(a)\g{-2}", "\\g{-2}", 3),
}


def matches(text: str, subject: str, *, ignores_case: bool = False) -> bool:
    pattern = compile_pattern(text, ignores_case=ignores_case)
    return pattern.search(subject.encode()) is not None


@pytest.mark.parametrize(("text", "path", "groups", "other"), REAL.values(), ids=REAL)
def test_real_pattern_matches_as_in_nginx(
    text: str, path: str, groups: tuple[str, ...], other: str
):
    match = compile_pattern(text).search(path.encode())
    assert match is not None
    assert match.groups() == tuple(group.encode() for group in groups)
    assert not matches(text, other)


@pytest.mark.parametrize(("text", "right", "wrong"), TRANSLATED.values(), ids=TRANSLATED)
@pytest.mark.filterwarnings("error")
def test_spelling_of_pcre_is_translated(text: str, right: str, wrong: str):
    assert matches(text, right)
    assert not matches(text, wrong)


@pytest.mark.parametrize(("text", "construct", "offset"), REFUSED.values(), ids=REFUSED)
def test_what_re_cannot_do_is_refused_with_its_place(text: str, construct: str, offset: int):
    with pytest.raises(ConfigError) as caught:
        compile_pattern(text)
    assert str(caught.value) == (
        f"{construct!r} at offset {offset} of the pattern {text!r} is not supported"
    )
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a**", "multiple repeat (at offset 2)"),
        (r"\Qé\E(b", "missing ), unterminated subpattern (at offset 5)"),
        ("é[[:digit:]]a)", "unbalanced parenthesis (at offset 13)"),
        ("(?<a>x)(?<a>y)", "redefinition of group name 'a' as group 2; was group 1 (at offset 7)"),
        (r"(?<=a+)b", "look-behind requires fixed-width pattern"),
    ],
)
def test_mistake_is_told_with_its_place_in_what_was_written(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        compile_pattern(text)
    assert str(caught.value) == f"{text!r} is no regular expression: {message}"


def test_case_is_ignored_on_request_for_letters_of_ascii():
    assert matches(r"\.PHP$", "/a.php", ignores_case=True)
    assert not matches(r"\.PHP$", "/a.php")
    assert not matches("é", "É", ignores_case=True)


def test_flags_of_a_branch_hold_in_the_branches_behind_it():
    assert [matches("a(?i)b|c", text) for text in ("aB", "C", "AB")] == [True, True, False]


def test_end_of_line_is_the_end_or_before_its_newline():
    assert [matches("a$", text) for text in ("a", "a\n", "a\nb")] == [True, True, False]


def test_named_groups_keep_their_names():
    assert dict(compile_pattern(r"(?<low>a)(?'Up_1'b)").groupindex) == {"low": 1, "Up_1": 2}


def test_pattern_is_compiled_once():
    assert compile_pattern(r"^/once/(.*)$") is compile_pattern(r"^/once/(.*)$")


def test_exponential_pattern_is_refused():
    with pytest.raises(ConfigError) as caught:
        compile_pattern(r"(a+)+$")
    assert str(caught.value) == (
        "the pattern '(a+)+$' can take for ever: on repetitions of 'a' every way to split them is tried"
    )
    assert "'[^/]+/'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "advises_anchor"),
    [("^/(.*)/(.*)/(.*)$", False), (r"(?:a*b*|c)a*$", True)],
)
def test_cubic_pattern_is_refused(text: str, advises_anchor: bool):
    with pytest.raises(
        ConfigError, match="its time grows with the power 3 of the length"
    ) as caught:
        compile_pattern(text)
    assert ("begin it with '^'" in caught.value.hint) == advises_anchor


@pytest.mark.parametrize("text", ["(" * 3000 + ")" * 3000, "a{99999999999}", "^" + "[ab]" * 3000])
def test_pattern_that_is_too_large_is_refused(text: str):
    with pytest.raises(ConfigError, match="too large") as caught:
        compile_pattern(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", [r"([^/]*)sitemap(-+([\w-]+))?\.xml$", r"\..*/.*\.php$", r".+\.jpg$"]
)
def test_pattern_is_given_a_lead_where_that_makes_it_cheaper(text: str):
    assert compile_pattern(text).pattern.startswith(b"(?<!")


@pytest.mark.parametrize("text", [r"\.php$", r"^/(.*)/x/(.*)$", r"a(?:b|c)*d"])
def test_pattern_that_a_lead_makes_no_cheaper_stays_as_it_is(text: str):
    assert compile_pattern(text).pattern == text.encode()


def test_lead_does_not_hold_where_a_group_is_asked_for_again():
    text = r"([ab])[ab]*/\1$"
    assert find_danger(text.encode()) is not None
    match = compile_pattern(text).search(b"ab/b")
    assert match is not None
    assert match[1] == b"b"


def test_lead_keeps_to_the_case_of_the_run_that_it_stands_for():
    assert matches(r"(?-i)[a-z]+1", "Aab1", ignores_case=True)
    assert matches(r"[a-z]+1", "AAB1", ignores_case=True)
    assert not matches(r"(?-i)[a-z]+1", "AAB1", ignores_case=True)
