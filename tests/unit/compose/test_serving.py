"""A generation is built whole, or nothing of it stays; and what it answers, from the text of its configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.compose.folders import OPENED_AT_ONCE_MAX
from chute.compose.serving import Generation
from chute.compose.shared import Shared
from chute.config.model import Config, Listener, Location, Site
from chute.config.resolve import load_text
from chute.errors import ConfigError
from chute.exchange import Ends
from chute.middleware.options import AccessOptions, LogFormatOptions, LogOptions
from chute.routing.options import RespondOptions, RewriteOptions
from chute.static.options import StaticOptions
from routed import Routed, StillClock, head_of
from trees import descriptors


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name.txt").write_text(name)
    return tmp_path


MAIN = '[listener.main]\nbind = "127.0.0.1:0"\n'


def config_of(place: Path, *locations: Location, **rest: object) -> Config:
    """Return a configuration whose first parts can be opened, and end with `rest`."""
    listener = load_text(str(place / "x"), MAIN + '[[site]]\nroot = "."\n', {}).listeners[0]
    whole: dict[str, object] = {
        "match": "/",
        "action": StaticOptions(root=str(place / "one")),
        "logs": (LogOptions(path=str(place / "access.log")),),
    }
    site = Site(locations=locations, rest=Location(**{**whole, **rest}))  # type: ignore[arg-type]
    return Config(listeners=(Listener(name="main", bind=listener.bind),), sites=(site,))


def second(**more: object) -> Location:
    whole: dict[str, object] = {"match": "/x/", "action": RespondOptions()}
    return Location(**{**whole, **more})  # type: ignore[arg-type]


FAULTS = {
    "a folder that is not there": {"action": StaticOptions(root="/nowhere/at/all")},
    "a root that is a file": {"action": StaticOptions(root="/etc/hostname")},
    "a log in no folder": {"logs": (LogOptions(path="/nowhere/at/all/access.log"),)},
    "an unknown variable in a condition of a log": {"logs": (LogOptions(path="-", when=("$nobody",)),)},
    "passwords that cannot be read": {"access": AccessOptions(password_file="/nowhere/at/all")},
    "an unknown variable in a field": {"fields": (("X", "$nobody"),)},
    "an unknown variable in a text": {"action": RespondOptions(text="$nobody")},
    "a page that is none": {"error_pages": ((404, "nonsense"),)},
    "a step that does nothing": {"rewrites": (RewriteOptions(match="^/"),)},
    "a condition that is none": {"when": ("nonsense",)},
    "an expression that is none": {"match": "~ ("},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_fault_half_way_leaves_nothing_open(fault: dict[str, object], place: Path):
    """Behind it: a folder and a log that were opened already."""
    config = config_of(
        place, second(action=StaticOptions(root=str(place / "two"))), second(**fault)
    )
    shared = Shared(config)
    before = descriptors()
    with pytest.raises(ConfigError):
        Generation(config, StillClock(), shared)
    assert descriptors() == before
    shared.close()


@pytest.mark.parametrize(
    "options",
    [
        {"try_files": ("/$nobody", "=404")},
        {"try_files": ("nonsense",)},
    ],
    ids=["an unknown variable", "nothing that can be tried"],
)
def test_folder_whose_options_are_wrong_is_not_left_open(options: dict[str, object], place: Path):
    config = config_of(place, action=StaticOptions(root=str(place / "one"), **options))  # type: ignore[arg-type]
    shared = Shared(config)
    before = descriptors()
    with pytest.raises(ConfigError):
        Generation(config, StillClock(), shared)
    assert descriptors() == before
    shared.close()


def test_fault_in_the_names_opens_nothing(place: Path):
    config = config_of(place, rewrites=(RewriteOptions(variable="uri", to="x"),))
    with pytest.raises(ConfigError):
        Generation(config, StillClock(), Shared(config))


def test_closing_twice_closes_once(place: Path):
    generation = Generation(config_of(place), StillClock(), Shared(config_of(place)))
    generation.close()
    generation.close()


TWO = """
[listener.one]
bind = "127.0.0.1:0"
[listener.two]
bind = "127.0.0.1:1"
[[site]]
listeners = ["one"]
root = "one"
[[site]]
listeners = ["two"]
names = ["two.example"]
root = "two"
[[site]]
names = ["both.example"]
root = "two"
fields = { X-Site = "$server_name" }
"""


def test_each_listener_has_its_own_sites(place: Path):
    with Routed(place, TWO) as routed:
        ask = [
            (0, "two.example", b"one"),
            (1, "two.example", b"two"),
            (1, "nobody.example", b"two"),
            (0, "both.example", b"two"),
            (1, "both.example", b"two"),
        ]
        for listener, host, content in ask * 3:
            answer = routed.ask(head_of("/name.txt", host=host), listener=listener)
            assert answer.content == content, (listener, host)
            assert bool(answer.all("x-site")) is host.startswith("both")


def test_sites_of_two_listeners_are_compiled_once(place: Path):
    with Routed(place, TWO) as routed:
        assert len(routed.generation.folders._opened) == 2


MANY = MAIN + "[[site]]\nroot = '0'\nlog = 'access.log'\nerror_pages = { '503' = '@busy' }\n" + "".join(
    f"[[site.location]]\nmatch = '/{number}/'\nalias = '{number}/'\n"
    for number in range(1, OPENED_AT_ONCE_MAX + 8)
) + "[[site.location]]\nmatch = '@busy'\nrespond = 'busy $uri'\n"  # fmt: skip


def test_many_folders_are_opened_lazily_and_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """And one that has vanished by then is 503, with the page of its site and one line."""
    for number in range(OPENED_AT_ONCE_MAX + 8):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "name.txt").write_text(str(number))
    with Routed(tmp_path, MANY) as routed:
        last = OPENED_AT_ONCE_MAX + 7
        (tmp_path / str(last)).rename(tmp_path / "elsewhere")
        with caplog.at_level(logging.ERROR):
            answer = routed.get(f"/{last}/name.txt")
        assert (answer.status, answer.content) == (503, b"busy /%d/name.txt" % last)
        assert len(caplog.records) == 1
        (tmp_path / "elsewhere").rename(tmp_path / str(last))
        for _ in range(3):
            for number in range(1, last + 1):
                answer = routed.get(f"/{number}/name.txt")
                assert answer.content == str(number).encode(), number
        assert len(routed.log()) == 1 + 3 * last


def test_one_client_of_two_that_send_the_same_head_gets_the_answer_for_its_address(place: Path):
    text = MAIN + '[[site]]\nroot = "one"\nfields = { X-From = "$remote_addr" }\n'
    with Routed(place, text) as routed:
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"):
            answer = routed.ask(head_of("/name.txt"), Ends(address))
            assert answer["x-from"] == address.encode()


def test_format_of_a_log_that_is_nobodys_is_no_fault(place: Path):
    config = config_of(place)
    more = Config(
        listeners=config.listeners,
        sites=config.sites,
        log_formats=(LogFormatOptions(name="f", template="$uri"),),
    )
    Generation(more, StillClock(), Shared(more)).close()
