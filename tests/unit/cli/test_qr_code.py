"""The QR code of an address: the right modules, with room around them."""

from __future__ import annotations

import segno

from chute.cli.panel import address_for_a_phone
from chute.cli.qr_code import QUIET_ZONE, render_qr_code


def test_code_is_the_one_of_the_address():
    address = "http://192.168.178.20:8000/"
    expected = [list(row) for row in segno.make_qr(address, error="l").matrix_iter(border=0)]
    rendered: list[list[int]] = []
    for line in render_qr_code(address).plain.splitlines():
        rendered.append([character in "▀█" for character in line])
        rendered.append([character in "▄█" for character in line])
    size = len(expected)
    inner = [row[QUIET_ZONE : QUIET_ZONE + size] for row in rendered[QUIET_ZONE:]][:size]
    assert inner == [[bool(module) for module in row] for row in expected]
    assert not any(any(row) for row in rendered[:QUIET_ZONE])
    assert not any(any(row) for row in rendered[QUIET_ZONE + size :])


def test_colours_do_not_depend_on_the_terminal():
    assert str(render_qr_code("http://h/").style) == "black on white"


def test_phone_gets_an_address_that_it_can_reach():
    assert address_for_a_phone(["http://127.0.0.1:8000/"]) is None
    assert address_for_a_phone(["http://localhost:8000/", "http://[::1]:80/"]) is None
    assert address_for_a_phone(["unix:/run/chute"]) is None
    reachable = "http://192.168.1.2:8000/"
    assert address_for_a_phone(["http://127.0.0.1:8000/", reachable]) == reachable
    assert address_for_a_phone(["http://host.example:8000/"]) == "http://host.example:8000/"
