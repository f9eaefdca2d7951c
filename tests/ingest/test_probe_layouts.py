"""Protects where electrodes of Neuropixels probes lie, by part number and by header."""

from __future__ import annotations

import numpy as np

from ingest.files import probe_layouts


def test_each_part_number_has_a_layout_whose_electrodes_lie_apart():
    numbers = probe_layouts.part_numbers()
    assert "NP1000" in numbers and len(numbers) > 20
    for number in numbers:
        probe = probe_layouts.layout(number)
        lateral, axial = probe.place_of(np.arange(probe.n_columns * min(probe.n_rows, 40)))
        assert len(set(zip(lateral, axial, strict=True))) == len(lateral) and probe.n_readout > 0, number
        assert {"channel", "group"} & set(probe_layouts.fields(probe.imro)), number


def test_a_probe_of_2_0_has_columns_of_32_um_and_rows_of_15():
    probe = probe_layouts.layout("NP2014") or probe_layouts.layout("NP2010")
    assert probe.n_shanks == 4 and probe.pitch == (32.0, 15.0) and probe.shank_pitch == 250.0


def test_headers_mean_the_layout_of_their_part_number_or_else_of_their_type():
    assert probe_layouts.of_header("", None, True) == probe_layouts.layout("NP1000")
    assert probe_layouts.of_header("NP1010", 0, False).part_number == "NP1010"
    assert probe_layouts.of_header("", 0, False) is not None
    assert probe_layouts.of_header("", 999, False) is None and probe_layouts.of_header("NP9999", 0, False) is None


def test_models_as_headers_call_them():
    assert probe_layouts.model_of("NP9999") == "NP9999" and probe_layouts.model_of("NP1000") == "NP1"
