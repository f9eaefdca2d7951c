"""Synthetic recordings are what benchmarks claim them to be: reproducible, and as compressible as real ones."""

import zlib

import numpy as np
import pytest
from cbin.synthetic import KINDS, blocks, write_recording


@pytest.mark.parametrize(("kind", "published"), [("np1", 3.0), ("np2", 2.24)])
def test_the_ratio_is_that_of_neuropixels_recordings(kind, published):
    """mtscomp reaches about 3 on Neuropixels 1.0; level 4 gives the same ratio as its level 6, sooner."""
    second = next(blocks(0.3, kind=kind))
    stored = np.diff(second, axis=0, prepend=np.zeros((1, 385), np.int16)).tobytes("F")
    assert second.nbytes / len(zlib.compress(stored, 4)) == pytest.approx(published, rel=0.08)


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_within_the_converter_and_fill_it(kind):
    second = next(blocks(1, n_channels=65, kind=kind))
    neural = second[:, :-1]
    assert neural.min() >= -KINDS[kind].max_int and neural.max() < KINDS[kind].max_int
    assert 10 < neural.std() * KINDS[kind].lsb < 60  # uV
    steps = np.diff(neural, axis=0)
    assert steps.min() < -8 * np.median(np.abs(steps))  # spikes stand out of the noise


def test_seed_and_length_decide_every_byte(tmp_path):
    same = [write_recording(tmp_path / f"{i}.bin", 1.2, n_channels=5, seed=3).read_bytes() for i in range(2)]
    assert same[0] == same[1] and len(same[0]) == 36000 * 10
    assert write_recording(tmp_path / "x.bin", 1.2, n_channels=5, seed=4).read_bytes() != same[0]
    longer = write_recording(tmp_path / "y.bin", 2, n_channels=5, seed=3).read_bytes()
    assert longer[: 30000 * 10] == same[0][: 30000 * 10]


def test_the_sync_word_changes_once_and_sixty_times_a_second():
    sync = next(blocks(1, n_channels=2))[:, 1]
    rises = {bit: int((np.diff(sync & bit) > 0).sum()) for bit in (64, 8)}
    assert set(np.unique(sync)) <= {0, 8, 64, 72} and rises == {64: 0, 8: 59}


def test_impossible_recordings_are_refused():
    for arguments in ({"n_channels": 1}, {"seconds": 0}, {"kind": "np3"}):
        with pytest.raises(ValueError, match=r"channels|kind"):
            next(blocks(**{"seconds": 1} | arguments))
