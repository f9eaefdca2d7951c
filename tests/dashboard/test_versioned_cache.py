"""What pages keep is made once however many people ask, and again when something is new, absent or failed."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.web.versioned_cache import Kept


def test_many_ask_and_one_makes():
    kept, made, go_on = Kept(4), [], threading.Event()

    def make():
        made.append(1)
        assert go_on.wait(10)
        return object()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(kept.get, "page", "1", make) for _ in range(7)]
        assert pool.submit(kept.get, "another page", "1", lambda: "not held up").result(10) == "not held up"
        go_on.set()
        assert len({id(item.result(10)) for item in asked}) == 1
    assert len(made) == 1


def test_what_failed_or_is_not_there_yet_is_made_again():
    kept = Kept(4)
    with pytest.raises(ZeroDivisionError):
        kept.get("page", "1", lambda: 1 / 0)
    assert kept.get("page", "1", lambda: None) is None
    assert kept.get("page", "1", lambda: "there now") == "there now"
    assert kept.get("page", "1", lambda: "not asked for") == "there now"


def test_the_least_recently_used_goes_first():
    kept = Kept(2)
    kept.get("a", "1", lambda: "a")
    kept.get("b", "1", lambda: "b")
    kept.get("a", "1", lambda: "again")
    kept.get("c", "1", lambda: "c")
    assert kept.get("a", "1", lambda: "again") == "a"
    assert kept.get("b", "1", lambda: "again") == "again"
