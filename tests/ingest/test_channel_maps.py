"""Maps of every public Neuropixels probe equal probeinterface's; LF, split and saved subsets keep their places."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import probeinterface
import pytest
from cbin.spikeglx import Meta, read_meta
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from probeinterface.neuropixels_tools import build_neuropixels_probe, read_spikeglx

from ingest.files import channel_maps, probe_layouts

TYPES = {"np1000": "0", "np1110": "1110", "np2000": "21", "np2003": "2003", "np2010": "24", "np2013": "2013",
         "np2020": "2020", "np3010": "3010", "np3020": "3020"}  # fmt: skip


def header(path: Path, part_number: str, imro: str, n: int, saved: str = "", **more: str) -> Meta:
    """Write and read an AP header of a probe with `n` acquired channels, of which `saved` are in the file."""
    n_saved = n if not saved else sum(int(p.split(":")[-1]) - int(p.split(":")[0]) + 1 for p in saved.split(","))
    layout = probe_layouts.layout(part_number)
    fields = {
        "typeThis": "imec", "nSavedChans": n_saved + 1, "snsApLfSy": f"{n_saved},0,1", "acqApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"{saved or f'0:{n - 1}'},{n}", "imSampRate": 30000, "imAiRangeMax": 0.6, "imMaxInt": 512,
        "imDatPrb_type": TYPES[layout.imro], "imDatPrb_pn": part_number, "imDatPrb_sn": 1, "imChan0apGain": 500,
        "~imroTbl": imro,
    } | more  # fmt: skip
    path.write_text("".join(f"{key}={value}\n" for key, value in fields.items()))
    return read_meta(path)


def random_imro(part_number: str, seed: int) -> tuple[str, int]:
    """A table of electrodes as SpikeGLX writes it, with banks drawn at random, and the number of channels."""
    chance, layout = np.random.default_rng(seed), probe_layouts.layout(part_number)
    n, kind = layout.n_readout, layout.imro
    n_electrodes = layout.n_columns * layout.n_rows
    head = f"({TYPES[kind]},{n})"
    if kind == "np1110":
        entries = [f"({group} {chance.integers(16)} {chance.integers(16)})" for group in range(24)]
        return f"(1110,{chance.integers(3)},0,500,250,1)" + "".join(entries), n
    if kind == "np1000":
        banks = [int(chance.integers(-(-(n_electrodes - c) // 384))) if n_electrodes > 384 else 0 for c in range(n)]
        return head + "".join(f"({c} {bank} 0 500 250 1)" for c, bank in enumerate(banks)), n
    per_shank = chance.permutation(layout.n_shanks * n_electrodes)[:n]
    n = len(per_shank)
    head = f"({TYPES[kind]},{n})"
    shank, electrode = np.divmod(per_shank, n_electrodes)
    has_shank = "shank" in probe_layouts.fields(kind)
    middle = [f"{s} 0 0" if has_shank else "1 0" for s in shank]
    return head + "".join(f"({c} {m} {e})" for c, (m, e) in enumerate(zip(middle, electrode, strict=True))), n


def relative(part_number: str, result: channel_maps.ChannelMap) -> np.ndarray:
    """Places as probeinterface counts them: from the first column of odd rows of the first shank."""
    layout = probe_layouts.layout(part_number)
    x = np.array(result.lateral) - layout.left[1] + layout.shank_pitch * np.array(result.shank)
    return np.column_stack([x, result.axial])


@pytest.mark.parametrize("part_number", probe_layouts.part_numbers())
def test_every_public_part_number(part_number, tmp_path):
    """All electrodes, and those of a header with banks at random, lie where ProbeTable has them."""
    layout = probe_layouts.layout(part_number)
    whole = build_neuropixels_probe(part_number)
    x, y = layout.place_of(np.tile(np.arange(layout.n_columns * layout.n_rows), layout.n_shanks))
    shank = np.repeat(np.arange(layout.n_shanks), layout.n_columns * layout.n_rows)
    np.testing.assert_allclose(np.column_stack([x - layout.left[1] + layout.shank_pitch * shank, y]),
                               whole.contact_positions)  # fmt: skip
    imro, n = random_imro(part_number, seed=len(part_number))
    path = tmp_path / "a_g0_t0.imec0.ap.meta"
    result = channel_maps.read(header(path, part_number, imro, n))
    np.testing.assert_allclose(relative(part_number, result), read_spikeglx(path).contact_positions)


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["NP1000", "NP1110", "NP1300", "NP2004", "NP2014", "NP1032"]))
def test_saved_subsets_keep_their_places(tmp_path_factory, seed, part_number):
    """Whichever channels are saved, with maps for the saved or for all channels, each keeps its electrode."""
    path = tmp_path_factory.mktemp("meta") / "a_g0_t0.imec0.ap.meta"
    imro, n = random_imro(part_number, seed)
    whole = channel_maps.read(header(path, part_number, imro, n))
    first, last = sorted(np.random.default_rng(seed).integers(0, n // 2, 2).tolist())
    saved = f"{first}:{last},{n // 2 + 3}:{n // 2 + 9}"
    ids = [*range(first, last + 1), *range(n // 2 + 3, n // 2 + 10)]
    entries = [f"({s}:{x:g}:{y:g}:1)" for s, x, y in zip(whole.shank, whole.lateral, whole.axial, strict=True)]
    for more in (
        {},
        {"~snsGeomMap": f"({part_number},4,250,70)" + "".join(entries)},
        {"~snsGeomMap": f"({part_number},4,250,70)" + "".join(entries[i] for i in ids)},
    ):
        result = channel_maps.read(header(path, part_number, imro, n, saved, **more))
        assert result.channels == ids
        np.testing.assert_allclose(np.array(whole.axial)[ids], result.axial)
        np.testing.assert_allclose(np.array(whole.lateral)[ids], result.lateral)
        assert np.array(whole.shank)[ids].tolist() == result.shank


def test_the_lf_has_the_electrodes_of_the_ap(tmp_path):
    """Its own table of banks tells them; without a known part number the map of the AP header beside it does."""
    imro, n = random_imro("NP1010", 4)
    whole = channel_maps.read(header(tmp_path / "a_g0_t0.imec0.ap.meta", "NP1010", imro, n))
    entries = zip(whole.shank, whole.lateral, whole.axial, strict=True)
    geometry = "(NP1010,1,0,70)" + "".join(f"({s}:{x:g}:{y:g}:1)" for s, x, y in entries)
    path = tmp_path / "a_g0_t0.imec0.lf.meta"
    more = {"snsApLfSy": "0,20,1", "nSavedChans": 21, "acqApLfSy": f"{n},{n},1",
            "snsSaveChanSubset": f"{n + 10}:{n + 29},{2 * n}"}  # fmt: skip
    own = channel_maps.read(header(path, "NP1010", imro, n, **more))
    unknown = header(path, "NP1010", imro, n, **more, imDatPrb_pn="NP9999")
    assert channel_maps.read(unknown) is None
    header(tmp_path / "a_g0_t0.imec0.ap.meta", "NP1010", imro, n, **{"~snsGeomMap": geometry})
    for item in (own, channel_maps.beside(path.with_suffix(".bin"), unknown)):
        assert item.axial == whole.axial[10:30] and item.lateral == whole.lateral[10:30]
        assert item.channels == list(range(n + 10, n + 30))


def test_unknown_probes_have_no_map(tmp_path):
    imro, n = random_imro("NP1000", 0)
    path = tmp_path / "a_g0_t0.imec0.ap.meta"
    assert channel_maps.read(header(path, "NP1000", imro, n, imDatPrb_pn="NP9999")) is None
    assert channel_maps.read(header(path, "NP1000", imro, n, imDatPrb_pn="")) is not None, "as old as the first 1.0"
    assert (
        channel_maps.read(header(path, "NP1000", f"(0,{n})" + "".join(f"({c} 9 0 500 250 1)" for c in range(n)), n))
        is None
    )


def test_a_probe_file_gives_the_places(tmp_path):
    """A probe file of probeinterface beside the recording serves where the header has no map."""
    probe = probeinterface.generate_multi_shank(2, num_columns=1, num_contact_per_column=4, xpitch=20, ypitch=25)
    order = np.random.default_rng(0).permutation(8)
    probe.set_device_channel_indices(order)
    probeinterface.write_probeinterface(tmp_path / "a.probe.json", probe)
    imro, n = random_imro("NP1000", 0)
    meta = header(tmp_path / "a_g0_t0.imec0.ap.meta", "NP1000", imro, n, "0:7", imDatPrb_pn="?")
    channel_map = channel_maps.beside(tmp_path / "a_g0_t0.imec0.ap.bin", meta)
    back = np.argsort(order)
    np.testing.assert_allclose(np.column_stack([channel_map.lateral, channel_map.axial]), probe.contact_positions[back])
    assert channel_map.shank == [int(name) for name in probe.shank_ids[back]]
    content = json.loads((tmp_path / "a.probe.json").read_text())
    content["probes"][0]["si_units"] = "furlong"
    (tmp_path / "a.probe.json").write_text(json.dumps(content))
    assert channel_maps.beside(tmp_path / "a_g0_t0.imec0.ap.bin", meta) is None


@pytest.mark.parametrize(
    "content",
    [
        {"probes": 3}, {"probes": [3]}, {"probes": None}, [], 4, {"probes": [{}]},
        {"probes": [{"si_units": "um", "contact_positions": [1, 2]}]},
        {"probes": [{"si_units": "um", "contact_positions": 7}]},
        {"probes": [{"si_units": "um", "contact_positions": [[0]]}]},
        {"probes": [{"si_units": ["um"], "contact_positions": []}]},
        {"probes": [{"si_units": "um", "contact_positions": [[0, float("nan")]]}]},
        {"probes": [{"si_units": "um", "contact_positions": [[0, 1]], "device_channel_indices": [float("inf")]}]},
        {"probes": [{"si_units": "um", "contact_positions": [[0, 1]], "shank_ids": 5}]},
    ],
)  # fmt: skip
def test_a_probe_file_of_other_content_gives_no_places(tmp_path, content):
    """It must not end the registration of the other files and sessions."""
    (tmp_path / "a.probe.json").write_text(json.dumps(content))
    assert channel_maps.contacts(tmp_path / "a.probe.json") is None
