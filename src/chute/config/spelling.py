"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

SYNONYMS = {
    "server": "site",
    "sites": "site",
    "server_name": "names",
    "listen": "listeners",
    "locations": "location",
    "autoindex": "listing",
    "gzip": "compress",
    "gzip_static": "sidecars",
    "headers": "fields",
    "header": "fields",
    "add_header": "fields",
    "return": "respond",
    "proxy_pass": "proxy",
    "error_page": "error_pages",
    "access_log": "log",
    "expires": "cache",
    "path": "match",
    "ssl": "tls",
    "auth_basic": "auth",
    "basic_auth": "auth",
    "timeout": "head_timeout",
    "url": "to",
    "target": "to",
    "content": "text",
    "body": "text",
    "content_type": "type",
    "flag": "then",
    "if": "when",
    "condition": "when",
    "regex": "match",
    "replacement": "to",
    "code": "status",
}
"""What other servers call it."""

NEAR = 0.7
"""How alike two words are at least (difflib's ratio)."""


def nearest(word: str, known: Iterable[str], synonyms: Mapping[str, str] = SYNONYMS) -> str | None:
    """Return the one of `known` that `word` is nearest to, if one is near.

    Case, hyphens, underscores and a plural make no difference; a synonym counts where what it stands for is known.
    """
    words = list(known)
    if word in words:
        return word
    by_form = {_form(each): each for each in words}
    form = _form(word)
    if form in by_form:
        return by_form[form]
    for synonym, meant in synonyms.items():
        if _form(synonym) == form and _form(meant) in by_form:
            return by_form[_form(meant)]
    close = difflib.get_close_matches(form, by_form, n=1, cutoff=NEAR)
    return by_form[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint: what was meant, or what there is; empty if there is nothing."""
    words = sorted(known)
    meant = nearest(word, words)
    if meant is not None:
        return f"did you mean {meant!r}?"
    if not words:
        return ""
    shown = ", ".join(repr(each) for each in words[:8])
    return f"there {'is' if len(words) == 1 else 'are'} {shown}{' and others' if len(words) > 8 else ''}"


def _form(word: str) -> str:
    """Return what stays of a word without case, hyphens and a plural."""
    form = word.lower().replace("-", " ").replace("_", " ").strip()
    return form[:-1] if len(form) > 3 and form.endswith("s") and not form.endswith("ss") else form
