"""dask arrays and SpikeInterface recordings hold the samples of the file, cut where its chunks end."""

import pickle

import cbin
import numpy as np
import pytest
from cbin.adapters import to_dask, to_spikeinterface
from cbin.synthetic import write_recording

CHANNELS = 9


@pytest.fixture(scope="module", params=["raw", "cbin", "archive"])
def opened(request, tmp_path_factory):
    """The same recording in each form, and its samples."""
    raw = write_recording(tmp_path_factory.mktemp("raw") / "r_g0_t0.imec0.ap.bin", 0.7, n_channels=CHANNELS)
    path = raw
    if request.param == "cbin":
        path = cbin.compress(raw, layout="access").cbin_path
    elif request.param == "archive":
        pytest.importorskip("pcodec", reason="pip install numcodecs pcodec")
        path = cbin.archive.pack(raw).path
    with cbin.open(path) as recording:
        yield recording, np.fromfile(raw, np.int16).reshape(-1, CHANNELS)


@pytest.mark.slow
def test_dask_blocks_end_with_chunks(opened):
    pytest.importorskip("dask.array", reason="pip install 'dask[array]'")
    recording, samples = opened
    array = to_dask(recording, block_bytes=100_000)
    assert array.shape == samples.shape and array.dtype == samples.dtype
    edges = np.cumsum((0, *array.chunks[0]))
    assert set(edges) <= set(recording.chunk_bounds)
    assert len(array.chunks[1]) == 1
    np.testing.assert_array_equal(array.compute(), samples)
    np.testing.assert_array_equal(array[3000:9000:7, [1, 4]].compute(), samples[3000:9000:7, [1, 4]])
    np.testing.assert_array_equal(array.max(axis=0).compute(), samples.max(axis=0))


def test_dask_names_are_those_of_the_file(opened):
    """The same file gives the same names, so that what dask kept of it is found again."""
    pytest.importorskip("dask.array", reason="pip install 'dask[array]'")
    with cbin.open(opened[0].path) as again:
        assert to_dask(opened[0]).name == to_dask(again).name
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(to_dask(opened[0])))[:5].compute(), opened[1][:5])


def test_spikeinterface_recording(opened):
    si = pytest.importorskip("spikeinterface", reason="pip install spikeinterface")
    recording, samples = opened
    extractor = to_spikeinterface(recording)
    assert extractor.get_num_channels() == CHANNELS - 1  # without sync
    assert extractor.get_sampling_frequency() == 30000
    assert list(extractor.channel_ids[:2]) == ["AP0", "AP1"]
    np.testing.assert_array_equal(extractor.get_traces(), samples[:, :-1])
    np.testing.assert_array_equal(
        extractor.get_traces(start_frame=50, end_frame=90, channel_ids=["AP5", "AP2"]), samples[50:90, [5, 2]]
    )
    microvolts = extractor.get_traces(end_frame=10, return_in_uV=True)
    np.testing.assert_allclose(microvolts, samples[:10, :-1] * 2.34375, rtol=1e-6)
    assert to_spikeinterface(recording, sync=True).get_num_channels() == CHANNELS
    again = si.load(extractor.to_dict())
    np.testing.assert_array_equal(again.get_traces(start_frame=9000), samples[9000:, :-1])


def test_spikeinterface_reads_in_other_processes(opened, tmp_path):
    pytest.importorskip("spikeinterface", reason="pip install spikeinterface")
    saved = to_spikeinterface(opened[0]).save(folder=tmp_path / "saved", n_jobs=2, chunk_duration="0.1s")
    np.testing.assert_array_equal(saved.get_traces(), opened[1][:, :-1])


def test_what_is_missing_is_said(opened, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(cbin.CbinError, match=r"dask\[array\]"):
        to_dask(opened[0])
    monkeypatch.setitem(sys.modules, "spikeinterface.core", None)
    monkeypatch.delitem(sys.modules, "cbin.spikeinterface_recording", raising=False)
    with pytest.raises(cbin.CbinError, match="pip install spikeinterface"):
        to_spikeinterface(opened[0])
