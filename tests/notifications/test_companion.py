"""The checks beside other work never end it, whatever happens to them."""

from __future__ import annotations

import time

from pipeline.notifications import companion


def test_checks_that_cannot_start_are_tried_again(monkeypatch, tmp_path):
    """Each time with a sentence, and without a traceback."""
    said: list[str] = []
    monkeypatch.setattr(companion.sys, "executable", str(tmp_path / "python"))
    with companion.notifying(said.append, again_s=0.01):
        until = time.monotonic() + 120
        while len(said) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert "cannot start" in said[0] and "No such file" in said[0]
