"""Which file a sorter counted, and which channels: told by what it wrote, else refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.files.scan import SessionKey
from ingest.programs.sorting import channels, sorted_file
from ingest.programs.sorting.foreign import _best_channels
from ingest.programs.sorting.runs import Item
from ingest.programs.sorting.several_probes import _unit_channels
from pipeline.errors import NeurojointError

SESSION = SessionKey("lab", "mouse", "2024-05-01", 1)
NP1 = {
    "lateral": np.tile([27.0, 59.0, 11.0, 43.0], 96).tolist(),
    "axial": (20.0 * (np.arange(384) // 2)).tolist(),
    "shank": [0] * 384,
}
FOUR = {
    "lateral": np.tile([0.0, 32.0], 192).tolist(),
    "axial": np.tile(15.0 * (np.arange(96) // 2), 4).tolist(),
    "shank": np.repeat(np.arange(4), 96).tolist(),
}


def recording(name: str, n_samples: int = 300_000, rate: float = 30_000.0) -> Item:
    path = f"lab/Subjects/mouse/2024-05-01/001/raw_ephys_data/probe00/{name}"
    return Item(name, SESSION, "", path, (0, 0), "", "probe00", rate, 385, n_samples)


def told(folder: Path, *lines: str) -> sorted_file.SortedFile:
    (folder / "params.py").write_text("\n".join([*lines, "raise SystemExit(9)"]))
    return sorted_file.read(folder)


PIECES = [recording(f"2024-run_g0_t{n}.imec0.ap.cbin") for n in (0, 2, 10)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dat_path = '2024-run_g0_t2.imec0.ap.bin'", [1]),
        ("dat_path = r'C:\\data\\2024-run_g0_t2.imec0.ap.bin'", [1]),
        ("dat_path = 'C:\\new\\2024-run_g0_t2.imec0.ap.bin'  # written by MATLAB", [1]),
        ('dat_path = ["/a/2024-run_g0_t10.imec0.ap.bin",\n "/a/2024-run_g0_t0.imec0.ap.bin"]', [2, 0]),
        ("dat_path = 'temp_wh.dat'", [0, 1, 2]),
        ("dat_path = None", [0, 1, 2]),
    ],
)
def test_samples_are_counted_in_the_files_that_params_name(tmp_path, line, expected):
    chosen_recordings = sorted_file.recordings_of(told(tmp_path, line, "sample_rate = 30000."), PIECES, [])
    assert [PIECES.index(item) for item in chosen_recordings] == expected


def test_a_joined_file_goes_before_its_pieces(tmp_path):
    """CatGT's file lies beside what it was made from: the samples of all together would be those of none."""
    notes: list[str] = []
    joined = recording("2024-run_g0_tcat.imec0.ap.bin", 900_000)
    assert sorted_file.recordings_of(sorted_file.SortedFile(), [*PIECES, joined], notes) == [joined]
    assert "nothing says which file" in notes[0]


def test_a_file_of_the_public_server_is_known_by_its_name(tmp_path):
    one = recording("r_g0_t0.imec0.ap.8f81ad37-a9ea-4406-9de4-46531d83374b.cbin")
    other = recording("r_g1_t0.imec0.ap.8f81ad37-a9ea-4406-9de4-46531d83374c.cbin")
    assert sorted_file.recordings_of(told(tmp_path, "dat_path = 'r_g0_t0.imec0.ap.bin'"), [other, one], []) == [one]


def test_another_rate_or_length_is_refused(tmp_path):
    """A sorting of a part of the recording, or of the LF band: its samples are at other times."""
    result = told(tmp_path, "sample_rate = 2500.0")
    with pytest.raises(NeurojointError, match="2500 samples a second"):
        sorted_file.recordings_of(result, PIECES, [])
    (tmp_path / "recording.dat").write_bytes(bytes(2 * 4 * 1000))
    result = told(tmp_path, "dat_path = r'recording.dat'", "n_channels_dat = 4", "dtype = 'int16'", "offset = 0")
    assert result.n_samples == 1000
    with pytest.raises(NeurojointError, match="has 1,000 samples"):
        sorted_file.recordings_of(result, PIECES, [])
    assert sorted_file.recordings_of(result, [recording("r.ap.bin", 1000)], [])


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 382), max_size=40), st.sampled_from([0.0, -11.0, 16.0]), st.booleans())
def test_channels_that_were_left_out_are_told_by_places(left_out, shift, is_ibl):
    """SpikeInterface counts the channels of what it sorted: 0, 1, 2, … after bad ones were removed.

    IBL's geometry counts across from the other side, and along from 20 um below the lowest row.
    """
    kept = np.setdiff1d(np.arange(384), sorted(left_out))
    places = np.column_stack([NP1["lateral"], NP1["axial"]])[kept]
    positions = places * [-1, 1] + [70, 20] if is_ibl else places + [shift, 0]
    columns = channels.columns_of(np.arange(len(kept)), positions, NP1)
    assert columns.raw is not None and columns.raw.tolist() == kept.tolist()
    assert bool(columns.note) == (kept.tolist() != list(range(len(kept))))


@pytest.mark.parametrize("shank", [0, 1, 3])
def test_one_shank_of_four(shank):
    """Sorted alone and counted from 0; the sorter's places have the distance between the shanks."""
    own = np.flatnonzero(np.array(FOUR["shank"]) == shank)
    positions = np.column_stack([np.array(FOUR["lateral"]) + 250.0 * np.array(FOUR["shank"]), FOUR["axial"]])[own]
    for claimed in (np.arange(96), own):
        columns = channels.columns_of(claimed, positions + [27.0, 0], FOUR)
        assert columns.raw is not None and columns.raw.tolist() == own.tolist()


def test_places_of_another_probe_are_no_columns():
    positions = np.column_stack([np.zeros(64), 12.5 * np.arange(64)])
    columns = channels.columns_of(np.arange(64), positions, NP1)
    assert columns.raw is None and "not those of the raw recording" in columns.note
    assert channels.columns_of(np.arange(64), None, NP1).raw is not None


@pytest.mark.parametrize("name", ["clusters.peakChannel", "clusters.channels"])
@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("over_all", [False, True])
def test_depths_tell_how_channels_of_several_probes_are_counted(name, base, over_all):
    """From 0 or 1, on the probe or over all: a channel too far is 20 um and another region."""
    rows, channels_of_units = np.arange(96, 192), np.array([3, 50, 94])
    places = np.column_stack([np.zeros(192), np.tile(20.0 * np.arange(96), 2)])
    files = {
        "channels.localCoordinates": places,
        "clusters.depths": places[rows[channels_of_units], 1] + [4.0, -3.0, 1.0],
        name: channels_of_units + base + (96 if over_all else 0),
    }
    assert _unit_channels(files, np.arange(3), rows).tolist() == channels_of_units.tolist()


@pytest.mark.parametrize("name", ["template_ind.npy", "templates_ind.npy"])
def test_sparse_templates_name_their_channels(tmp_path, name):
    """SpikeInterface's export writes as many channels as the largest template has, and -1 where there is none."""
    templates = np.zeros((2, 10, 3))
    templates[0, 4, 1], templates[1, 4, 0] = -2, -3
    np.save(tmp_path / "templates.npy", templates)
    np.save(tmp_path / name, np.array([[3, 7, 8], [5, -1, -1]]))
    np.save(tmp_path / "channel_map.npy", np.arange(16))
    assert _best_channels(tmp_path).tolist() == [7, 5]
    (tmp_path / name).unlink()
    assert _best_channels(tmp_path) is None, "nothing says which channels these are"
