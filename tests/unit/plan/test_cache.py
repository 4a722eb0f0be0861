"""Bounds and admission of the cache of two generations."""

from __future__ import annotations

from chute.plan.cache import TwoGenerationCache


def made(entries_max: int = 8, bytes_max: int = 1000) -> TwoGenerationCache[str, str]:
    return TwoGenerationCache(entries_max=entries_max, bytes_max=bytes_max)


def test_cache_admits_on_second_sight():
    cache = made()
    assert not cache.offer("a", "first", 1)
    assert len(cache) == 0
    assert cache.offer("a", "second", 1)
    assert cache.young["a"] == "second"


def test_cache_never_holds_more_entries_than_its_bound():
    cache = made(entries_max=8)
    for number in range(100):
        cache.admit(str(number), "x", 1)
        assert len(cache) <= 8
    assert "99" in cache.young


def test_cache_turns_when_the_bytes_of_a_generation_are_full():
    cache = made(bytes_max=1000)
    cache.admit("a", "x", 300)
    cache.admit("b", "x", 300)
    assert list(cache.young) == ["b"]
    assert cache.find_old("a") == "x"


def test_cache_refuses_what_is_larger_than_a_generation():
    cache = made(bytes_max=1000)
    cache.admit("a", "x", 501)
    assert "a" not in cache.young


def test_cache_clear_forgets_what_was_seen_as_well():
    cache = made()
    cache.offer("a", "x", 1)
    cache.clear()
    assert not cache.offer("a", "x", 1)


def test_cache_discard_removes_from_both_generations():
    cache = made(entries_max=2)
    cache.admit("a", "x", 1)
    cache.admit("b", "x", 1)
    cache.discard("a")
    cache.discard("b")
    assert len(cache) == 0
