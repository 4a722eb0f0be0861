"""Properties of Range selection.

Invariant: whatever the value, `select_ranges` gives one of its three answers; parts lie within the
representation, are never empty, never add up to more than the whole, and are the bytes a naive
reading of RFC 9110, 14.1.2 names.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from chute.semantics.ranges import RANGES_MAX, Selection, content_range, select_ranges

POSITION = st.integers(0, 40)
# first-pos and last-pos; a missing first-pos makes last-pos a suffix length, a missing last-pos
# leaves it open.
SPEC = (
    st.tuples(POSITION, POSITION).map(lambda pair: (min(pair), max(pair)))
    | st.tuples(POSITION, st.none())
    | st.tuples(st.none(), POSITION)
)
Spec = tuple[int | None, int | None]
SPECS: st.SearchStrategy[list[Spec]] = st.lists(SPEC, min_size=1, max_size=RANGES_MAX)
SEPARATOR = st.sampled_from([b",", b", ", b" ,\t", b",,", b" , , "])


def render(spec: Spec) -> bytes:
    return b"-".join(b"" if number is None else b"%d" % number for number in spec)


def named_by(spec: Spec, complete_length: int) -> list[int]:
    """The positions a spec names, read the slow and obvious way."""
    first, last = spec
    positions = list(range(complete_length))
    if first is None:
        return positions[-last:] if last else []
    return [p for p in positions if p >= first and (last is None or p <= last)]


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b"bytes=".__add__), st.integers(0, 50))
@example(b"bytes=" + b"9" * 2000 + b"-", 10)
@example(b"bytes=-" + b"9" * 2000, 10)
@example(b"bytes=0-0," + b"," * 2000, 10)
def test_select_ranges_always_gives_one_of_three_answers(
    value: bytes, complete_length: int
) -> None:
    answer = select_ranges(value, complete_length)
    if isinstance(answer, Selection):
        return
    assert answer
    assert all(offset >= 0 and count > 0 for offset, count in answer)
    assert all(offset + count <= complete_length for offset, count in answer)
    assert sum(count for _, count in answer) <= complete_length


@given(SPECS, SEPARATOR, st.integers(1, 30))
def test_select_ranges_agrees_with_the_naive_reading(
    specs: list[Spec], separator: bytes, complete_length: int
) -> None:
    named = [positions for spec in specs if (positions := named_by(spec, complete_length))]
    answer = select_ranges(b"bytes=" + separator.join(map(render, specs)), complete_length)
    if not named:
        assert answer is Selection.UNSATISFIABLE
    elif sum(map(len, named)) > complete_length:
        assert answer is Selection.IGNORED
    else:
        assert not isinstance(answer, Selection)
        assert [list(range(offset, offset + count)) for offset, count in answer] == named


@given(SPEC, st.integers(1, 30))
def test_content_range_selects_the_same_part_again(spec: Spec, complete_length: int) -> None:
    answer = select_ranges(b"bytes=" + render(spec), complete_length)
    if isinstance(answer, Selection):
        return
    (part,) = answer
    unit, _, rest = content_range(*part, complete_length).partition(b" ")
    positions, _, rendered_length = rest.partition(b"/")
    assert select_ranges(unit + b"=" + positions, int(rendered_length)) == (part,)
