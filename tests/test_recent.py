"""The cache of what was used last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from wctstyle.recent import Recent


def test_a_cache_stays_below_its_weight_and_makes_once():
    cache, made = Recent[int](10, lambda value: value), []

    def make(value):
        return lambda: made.append(value) or value

    for value in (4, 4, 5, 4, 3, 4):
        assert cache.get(value, make(value)) == value
        assert cache.total <= 10
    assert made == [4, 5, 3]


def test_who_asks_for_what_is_being_made_waits_for_it_and_others_do_not():
    cache, made, go = Recent[str](4), [], threading.Event()

    def slow():
        go.wait(60)
        made.append("slow")
        return "slow"

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(cache.get, "a", slow) for _ in range(2)]
        assert cache.get("b", lambda: "quick") == "quick"
        go.set()
        assert [one.result(60) for one in waiting] == ["slow", "slow"]
    assert made == ["slow"]


def test_what_could_not_be_made_is_tried_again():
    cache = Recent[int](4)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 3) == 3


def test_the_newest_is_kept_however_heavy_it_is():
    cache = Recent[int](10, lambda value: value)
    for value in (3, 50):
        cache.get(value, lambda value=value: value)
    assert cache.total == 50
    assert cache.get(50, lambda: 0) == 50


def test_things_count_as_one_unless_weighed():
    cache, made = Recent[str](2), []
    for name in "abcba":
        cache.get(name, lambda name=name: made.append(name) or name)
    assert made == ["a", "b", "c", "a"]
    assert cache.total == 2
