"""Raw recordings are read where they are asked for, from both forms of the file: strength, spectrum, snippets."""

from __future__ import annotations

import os

import cbin
import numpy as np
import pytest
from cbin import synthetic
from cbin.spikeglx import Meta, parse_meta

from ingest.files import channel_maps
from ingest.simulate.ephys import simulate_insertion, write_recording
from ingest.simulate.ephys.recording import LF_BIT, LF_RATE, THETA
from pipeline import ephys
from pipeline.errors import NeurojointError
from tests.ephys import trees
from tests.ingest.tree import ingest

pytestmark = pytest.mark.one_database

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}
SECONDS = 200
N_SITES = 8


@pytest.fixture(params=["bin", "cbin"])
def lf(request, database, tmp_path):
    """The samples of an LF recording of a rhythm of 8 Hz and an amplitude of 100 uV in little noise, and its file."""
    insertion = simulate_insertion(None, 2, 1, duration=4.0, n_sites=N_SITES)
    insertion.objects["channels"]["brainLocationIds_ccf_2017"][:] = 382
    path = write_recording(tmp_path / trees.SESSION, insertion, SECONDS, band="lf", noise=0.2)
    samples = np.fromfile(path, np.int16).reshape(-1, N_SITES + 1)[:, :N_SITES]
    if request.param == "cbin":
        cbin.compress(path, chunk_duration=1.0)
        path.unlink()
        path = path.with_suffix(".cbin")
    ingest(tmp_path)
    return samples, path


def damage(path, second: int) -> None:
    """Make one second of a compressed recording unreadable, and leave its size and time of change."""
    offsets = cbin.read_header(path.with_suffix(".ch")).offsets
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(offsets[second] + 2)
        file.write(b"\xff" * (offsets[second + 1] - offsets[second] - 2))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_strength_and_spectrum_of_a_known_rhythm(lf):
    """A sine of amplitude A has the power A^2 / 2; what lies between the pieces is not decompressed."""
    samples, path = lf
    if path.suffix == ".cbin":
        damage(path, 4)  # of 200 s, 40 pieces of 4 s are read, 5.03 s apart
    ephys.RecordingSignal.populate()
    row = ephys.RecordingSignal.fetch1()
    assert (row["n_signal_channels"], row["n_pieces"], row["piece_duration"]) == (N_SITES, 40, 4.0)
    whole = (samples * LF_BIT).std(axis=0)
    np.testing.assert_allclose(row["signal_rms"], whole, rtol=0.01)
    np.testing.assert_allclose(row["signal_rms"], 100 / np.sqrt(2), rtol=0.02)
    frequencies, power = row["spectrum_frequencies"], row["spectrum_power"]
    assert abs(frequencies[power[3].argmax()] - THETA) < LF_RATE / 2048
    around = abs(frequencies - THETA) < 5
    np.testing.assert_allclose(power[:, around].sum(axis=1) * frequencies[1], 100**2 / 2, rtol=0.03)


def test_snippets_around_any_time(lf):
    """Samples times gain, from the second that is asked for alone; the ends of the recording cut them off."""
    samples, path = lf
    if path.suffix == ".cbin":
        damage(path, 100)
        with pytest.raises(cbin.CorruptChunk):
            ephys.raw_snippet(KEY, 100.2, 100.3, "lf")
    pid = ephys.ProbeInsertion.fetch1("pid")
    for start, end in ((0.0, 0.01), (98.95, 99.05), (150.0, 150.0004), (101.5, 102.5)):
        times, volts = ephys.raw_snippet(pid, start, end, "lf")
        first, last = round(start * LF_RATE), round(end * LF_RATE)
        np.testing.assert_allclose(times, np.arange(first, last) / LF_RATE)
        np.testing.assert_allclose(volts, samples[first:last] * (LF_BIT * 1e-6), rtol=1e-5)
    assert len(ephys.raw_snippet(pid, -1, 0.002, "lf")[0]) == 5
    assert len(ephys.raw_snippet(pid, SECONDS - 0.002, SECONDS + 9, "lf")[0]) == 5
    assert not len(ephys.raw_snippet(pid, SECONDS + 1, SECONDS + 2, "lf")[0])
    with pytest.raises(NeurojointError, match="no ap recording of probe00 is online here"):
        ephys.raw_snippet(pid, 0, 1)


def header(kind: str, **changed: str) -> Meta:
    text = synthetic.meta_text("a.imec0.ap.bin", 0, "0" * 40, n_channels=5, kind=kind)
    lines = [line for line in text.splitlines() if line.lstrip("~").split("=")[0] not in changed]
    return parse_meta("\n".join([*lines, *(f"{name}={value}" for name, value in changed.items())]))


def test_places_of_channels_of_every_kind_of_header():
    """1.0: two columns, every other row set in, rows 20 um apart; 2.0: straight, 15 um; new headers say um."""
    one, two = channel_maps.read(header("np1")), channel_maps.read(header("np2"))
    assert (one.lateral, one.axial) == ([27, 59, 11, 43], [0, 0, 20, 20])
    assert (two.lateral, two.axial) == ([27, 59, 27, 59], [0, 0, 15, 15])
    shanks = "(NP2010,4,250,70)(0:8:0:1)(0:40:0:1)(3:8:15.5:1)(3:40:15.5:1)"
    new = channel_maps.read(header("np2", snsGeomMap=shanks))
    assert (new.lateral, new.axial, new.shank) == ([8, 40, 8, 40], [0, 0, 15.5, 15.5], [0, 0, 3, 3])
    assert channel_maps.read(header("np1", snsShankMap="(1,2,2)(0:0:0:1)")) == one, "else by the table of banks"
    assert channel_maps.read(header("np1", imDatPrb_type="7777", imDatPrb_pn="?")) is None, "an unknown layout"
