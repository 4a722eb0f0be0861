"""Fields that make browsers more careful, and what they must not break."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from chute.exchange import Deferred, FieldLines, Request, Response, failure
from chute.http1.encode import render_head
from chute.middleware.error_pages import with_page
from chute.middleware.security_fields import PRESETS, Preset, with_security_fields
from chute.semantics.messages import RequestHead

REQUEST = Request(RequestHead(b"GET", b"/", 1, []), b"/", None, b"h")


def answered(response: Response, preset: Preset) -> FieldLines:
    answer = with_security_fields(lambda request: response, preset)(REQUEST)
    assert answer is response
    return response.fields


def policy_of(fields: FieldLines) -> dict[str, str]:
    """The directives of the policy in `fields`, by name."""
    (policy,) = [value.decode() for name, value in fields if name == b"Content-Security-Policy"]
    return {name: rest for name, _, rest in (part.partition(" ") for part in policy.split("; "))}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_answer_has_the_fields_of_the_preset(preset: Preset):
    own = (b"Content-Type", b"text/html")
    assert answered(Response(200, [own]), preset) == [own, *PRESETS[preset]]
    assert answered(Response(304, []), preset) == list(PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_answer_of_a_thread_has_them_too(preset: Preset):
    deferred = with_security_fields(
        lambda request: Deferred(lambda: Response(200, []), "lane"), preset
    )(REQUEST)
    assert isinstance(deferred, Deferred)
    response = deferred.blocking_respond()
    assert isinstance(response, Response)
    assert response.fields == list(PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_field_that_an_answer_has_is_not_changed(preset: Preset):
    own = [
        (b"content-security-policy", b"default-src 'none'; style-src 'sha256-x'"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    fields = answered(Response(200, list(own)), preset)
    assert fields[:2] == own
    names = [name.lower() for name, _ in fields]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("preset", PRESETS)
def test_fields_can_be_sent_and_are_named_once(preset: Preset):
    render_head(200, PRESETS[preset])
    assert len({name.lower() for name, _ in PRESETS[preset]}) == len(PRESETS[preset])


def test_strict_says_everything_that_basic_speaks_of():
    assert {name for name, _ in PRESETS["basic"]} < {name for name, _ in PRESETS["strict"]}


def test_basic_leaves_scripts_and_styles_alone():
    names = {name for name, _ in PRESETS["basic"]}
    assert names.isdisjoint(
        {b"Content-Security-Policy", b"Cross-Origin-Embedder-Policy", b"Permissions-Policy"}
    )


def test_strict_allows_nothing_inline_and_nothing_from_elsewhere():
    policy = policy_of(answered(Response(200, []), "strict"))
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", [b"Strict-Transport-Security", b"X-XSS-Protection"])
def test_what_belongs_to_tls_or_was_withdrawn_is_absent(preset: Preset, name: bytes):
    assert name not in {name for name, _ in PRESETS[preset]}


def test_strict_lets_the_page_of_an_error_have_its_style():
    response = failure(404, "There is nothing.")
    policy = policy_of(answered(response, "strict"))
    (page,) = with_page(response, b"text/html").pieces
    assert isinstance(page, bytes)
    (style,) = re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)
    assert b"<script" not in page
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"


def test_lists_of_presets_are_not_written_to():
    for preset in PRESETS:
        before = PRESETS[preset]
        answered(Response(200, []), preset).append((b"X-Another", b"1"))
        assert answered(Response(200, []), preset) == list(before)
