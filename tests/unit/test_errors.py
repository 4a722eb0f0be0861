"""The error tree: whose fault it was can be told by class, and the facts are attributes."""

from __future__ import annotations

import inspect

import pytest

from chute import errors
from chute.errors import (
    ChuteError,
    ConfigError,
    DescriptorsExhausted,
    FileError,
    FileShrank,
    PeerError,
    PeerGone,
    TransferError,
)

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_error_is_ours_and_in_the_drawing(error: type[Exception]):
    assert issubclass(error, ChuteError)
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__


def test_peer_error_suggests_an_answer():
    assert PeerError("a bare line feed").status_hint == 400
    assert PeerError("too long", status_hint=431).status_hint == 431


def test_shrunken_file_says_how_far_it_went():
    error = FileShrank(sent=10, expected=100)
    assert str(error) == "truncated at 10 of 100"
    assert (error.sent, error.expected) == (10, 100)
    assert isinstance(error, TransferError)


def test_transfer_errors_carry_what_was_sent():
    assert PeerGone("reset", sent=7).sent == 7
    assert TransferError("broken").sent == 0


def test_config_error_keeps_its_hint_out_of_its_text():
    error = ConfigError("no such folder", hint="check the spelling")
    assert (str(error), error.hint) == ("no such folder", "check the spelling")
    assert ConfigError("no such folder").hint == ""


def test_faults_of_disk_peer_and_user_are_told_apart():
    assert issubclass(DescriptorsExhausted, FileError)
    for one in (FileError, PeerError, ConfigError, TransferError):
        for other in (FileError, PeerError, ConfigError, TransferError):
            assert one is other or not issubclass(one, other)
