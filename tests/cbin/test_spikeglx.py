"""SpikeGLX headers: every probe generation and device gives the right channels, rate and volts per bit, and a malformed
header an error that names the file and the line or key."""

import hashlib

import numpy as np
import pytest
from cbin.errors import CbinError
from cbin.spikeglx import MetaError, find_meta, parse_meta, read_meta
from cbin.synthetic import meta_text, write_recording
from hypothesis import given
from hypothesis import strategies as st

UUIDS = ("1a2b3c4d-0000-4000-8000-000000000001", "1a2b3c4d-0000-4000-8000-000000000002")


def header(drop=(), **fields):
    """A header as SpikeGLX writes it: `key=value` lines; a leading underscore stands for the tilde of tables."""
    fields = {k: v for k, v in fields.items() if k not in drop}
    return "".join(f"{'~' + k[1:] if k.startswith('_') else k}={v}\n" for k, v in fields.items())


def table(head, entries):
    return f"({head})" + "".join(f"({e})" for e in entries)


def phase_3a(**changes):
    """Option 4 (276 channels), AP band: five numbers per channel, serial and option in the table's header."""
    fields = {
        "acqApLfSy": "276,276,1",
        "fileSHA1": "70A749799CE55943D75CC9504B132EBF30FD213F",
        "fileSizeBytes": 277 * 2 * 1000,
        "imAiRangeMax": 0.6,
        "imProbeOpt": 4,
        "imProbeSN": 513180821,
        "typeEnabled": "imec",
        "imSampRate": 30000,
        "nSavedChans": 277,
        "snsApLfSy": "276,0,1",
        "snsSaveChanSubset": "0:275,552",
        "typeThis": "imec",
        "_imroTbl": table("513180821,4,276", (f"{i} 0 0 {500 if i % 2 else 1000} 250" for i in range(276))),
        "_snsChanMap": table("276,276,1", [*(f"AP{i};{i}:{275 - i}" for i in range(276)), "SY0;552:552"]),
    }
    return header(**fields | changes)


def np1(band="ap", saved="0:383", **changes):
    """Neuropixels 1.0: six numbers per channel, AP gain 4th, LF gain 5th."""
    first, last = (int(x) for x in saved.split(":"))
    n = last - first + 1
    fields = {
        "acqApLfSy": "384,384,1",
        "fileSizeBytes": (n + 1) * 2 * 1000,
        "imAiRangeMax": 0.6,
        "imDatPrb_pn": "NP1010",
        "imDatPrb_sn": 18005119451,
        "imDatPrb_type": 0,
        "imMaxInt": 512,
        "imSampRate": 30000.390639 if band == "ap" else 2500.032553,
        "nSavedChans": n + 1,
        "snsApLfSy": f"{n},0,1" if band == "ap" else f"0,{n},1",
        "snsSaveChanSubset": f"{saved},768",
        "typeThis": "imec",
        "_imroTbl": table("0,384", (f"{i} 0 0 {250 + i} {125 + i} 1" for i in range(384))),
    }
    return header(**fields | changes)


def np2(kind, **changes):
    """Neuropixels 2.0: electrodes only in the table, one gain per generation."""
    entry = "{0} 1 0 {0}" if kind in (21, 2003) else "{0} 0 0 1 {0}"
    fields = {
        "acqApLfSy": "384,0,1",
        "imAiRangeMax": 0.5 if kind in (21, 24) else 0.62,
        "imDatPrb_sn": 19122519691,
        "imDatPrb_type": kind,
        "imMaxInt": 8192 if kind in (21, 24) else 2048,
        "imSampRate": 30000,
        "nSavedChans": 385,
        "snsApLfSy": "384,0,1",
        "snsSaveChanSubset": "0:384",
        "typeThis": "imec",
        "_imroTbl": table(f"{kind},384", (entry.format(i) for i in range(384))),
    }
    return header(**fields | changes)


def nidq(**changes):
    """All four kinds of National Instruments channels."""
    fields = {
        "acqMnMaXaDw": "2,2,8,1",
        "niAiRangeMax": 5,
        "niMAGain": 10,
        "niMNGain": 200,
        "niSampRate": 25000.127883,
        "nSavedChans": 8,
        "snsMnMaXaDw": "2,2,3,1",
        "snsSaveChanSubset": "0:6,12",
        "typeThis": "nidq",
        "_snsChanMap": "(2,8,2,8,1)(MN0C0;0:0)(MN0C1;1:1)(MA0C0;2:2)(MA0C1;3:3)(XA0;4:4)(XA1;5:5)(XA2;6:6)(XD0;12:7)",
    }
    return header(**fields | changes)


def test_phase_3a_reads_its_own_table_layout():
    meta = parse_meta(phase_3a())
    assert (meta.probe_name, meta.probe_type, meta.serial, meta.band) == ("3A", None, "513180821", "ap")
    assert (meta.n_channels, meta.sample_rate, meta.sync_channels, meta.n_samples) == (277, 30000.0, (276,), 1000)
    assert meta.sha1 == "70a749799ce55943d75cc9504b132ebf30fd213f"
    np.testing.assert_allclose(meta.volts_per_bit[:3], 0.6 / 512 / np.array([1000, 500, 1000]))
    assert meta.volts_per_bit[276] == 1
    assert meta.channel_names[275:] == ["AP275", "SY0"]
    assert meta.channel_map[[0, 275, 276]].tolist() == [275, 0, 552]


@pytest.mark.parametrize(("band", "gain", "saved"), [("ap", 250, "0:383"), ("lf", 125, "384:767")])
def test_np1_takes_the_gain_of_its_band(band, gain, saved):
    meta = parse_meta(np1(band, saved))
    assert (meta.probe_name, meta.band, meta.serial) == ("NP1", band, "18005119451")
    np.testing.assert_allclose(meta.volts_per_bit[:384], 0.6 / 512 / (gain + np.arange(384)))
    assert meta.sample_rate == (30000.390639 if band == "ap" else 2500.032553)


def test_a_saved_subset_takes_the_gains_of_the_channels_that_were_saved():
    """ibl-neuropixel and neo take the first entries of the table instead, which is right only for equal gains."""
    meta = parse_meta(np1(saved="100:109"))
    assert meta.channel_ids.tolist() == [*range(100, 110), 768]
    np.testing.assert_allclose(meta.volts_per_bit[:10], 0.6 / 512 / (350 + np.arange(10)))


@pytest.mark.parametrize(
    ("kind", "microvolts"), [(21, 0.762939453125), (24, 0.762939453125), (2003, 3.02734375), (2013, 3.02734375)]
)
def test_np2_has_one_gain(kind, microvolts):
    meta = parse_meta(np2(kind))
    np.testing.assert_allclose(meta.volts_per_bit[:384] * 1e6, microvolts)
    assert meta.volts_per_bit[384] == 1
    assert meta.probe_name == ("NP2.1" if kind in (21, 2003) else "NP2.4")


def test_a_stated_gain_goes_before_the_known_one_and_serves_unknown_probes():
    meta = parse_meta(np2(3010, imChan0apGain=50))
    np.testing.assert_allclose(meta.volts_per_bit[:384], 0.62 / 2048 / 50)


def test_np2_without_max_int_is_14_bit():
    meta = parse_meta(np2(24, imMaxInt=""))
    np.testing.assert_allclose(meta.volts_per_bit[0], 0.5 / 8192 / 80)


def test_uhd_active_probes_keep_one_gain_in_the_tables_header():
    text = np1(imDatPrb_type=1110, _imroTbl=table("1110,1,0,500,250,1", (f"{i} 0 0" for i in range(24))))
    np.testing.assert_allclose(parse_meta(text).volts_per_bit[:384], 0.6 / 512 / 500)


def test_quad_base_has_four_sync_words():
    fields = {"acqApLfSy": "1536,0,4", "snsApLfSy": "1536,0,4", "nSavedChans": 1540, "snsSaveChanSubset": "0:1539"}
    meta = parse_meta(np2(2020, **fields))
    assert meta.sync_channels == (1536, 1537, 1538, 1539)
    np.testing.assert_allclose(meta.volts_per_bit[:1536], 0.62 / 2048 / 100)


def test_nidq_gains_by_kind_of_channel():
    meta = parse_meta(nidq())
    assert (meta.band, meta.probe_name, meta.serial, meta.sync_channels) == ("nidq", None, None, (7,))
    step = 5 / 32768
    np.testing.assert_allclose(meta.volts_per_bit, [step / 200] * 2 + [step / 10] * 2 + [step] * 3 + [1])
    assert meta.channel_names[-2:] == ["XA2", "XD0"]


def test_nidq_needs_only_the_gains_it_uses():
    text = nidq(niMNGain="", niMAGain="", snsMnMaXaDw="0,0,7,1", niMaxInt=8192)
    np.testing.assert_allclose(parse_meta(text).volts_per_bit, [5 / 8192] * 7 + [1])


def test_onebox():
    fields = {"typeThis": "obx", "obSampRate": 30303, "obAiRangeMax": 5, "obMaxInt": 32768, "nSavedChans": 14}
    meta = parse_meta(header(**fields, acqXaDwSy="12,1,1", snsXaDwSy="12,1,1", snsSaveChanSubset="0:13"))
    assert meta.sync_channels == (12, 13)
    np.testing.assert_allclose(meta.volts_per_bit, [5 / 32768] * 12 + [1, 1])


def test_all_saved_without_a_list_numbers_the_channels_by_kind():
    meta = parse_meta(np1("lf", "384:767", snsSaveChanSubset="all"))
    assert meta.channel_ids.tolist() == [*range(384, 768), 768]
    np.testing.assert_allclose(meta.volts_per_bit[0], 0.6 / 512 / 125)


def test_a_recording_under_way_has_no_size_and_no_hash():
    meta = parse_meta(np2(24))
    assert (meta.file_size, meta.n_samples, meta.sha1) == (None, None, None)
    assert parse_meta(np2(24, fileSHA1=0)).sha1 is None  # as CatGT writes it


def test_the_header_of_a_synthetic_recording_fits_the_file(tmp_path):
    path = write_recording(tmp_path / "a.imec0.ap.bin", 0.1, n_channels=17, kind="np2")
    meta = read_meta(path)
    assert meta.file_size == path.stat().st_size
    assert meta.sha1 == hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
    np.testing.assert_allclose(meta.volts_per_bit[:16], 0.762939453125e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("typeThis=imec\nnonsense\n", "line 2"),
        ("=3\n", "line 1"),
        (np1(typeThis="whisper"), "typeThis"),
        (np1(nSavedChans=""), "nSavedChans"),
        (np1(nSavedChans="3.5"), "nSavedChans"),
        (np1(nSavedChans=12), "snsSaveChanSubset"),
        (np1(imSampRate="fast"), "imSampRate"),
        (np1(imSampRate="0"), "imSampRate"),
        (np1(imSampRate="nan"), "imSampRate"),
        (np1(imAiRangeMax=""), "imAiRangeMax"),
        (np1(snsApLfSy="384,1"), "snsApLfSy"),
        (np1(snsApLfSy="383,0,1"), "snsApLfSy"),
        (np1(snsSaveChanSubset="0:383,x"), "snsSaveChanSubset"),
        (np1(snsSaveChanSubset="0:99999999999"), "snsSaveChanSubset"),
        (np1(_imroTbl=""), "imroTbl"),
        (np1(_imroTbl="(0,384)(0 0 0 500 250 1)"), "imroTbl has no gains for channel 1"),
        (np1(_imroTbl=table("0,384", (f"{i} 0 0 0 250 1" for i in range(384)))), "imroTbl has the gain '0'"),
        (np2(9999), "imDatPrb_type"),
        (np2(24, imDatPrb_type="x"), "imDatPrb_type"),
        (np2(24, fileSizeBytes="many"), "fileSizeBytes"),
        (nidq(niMNGain=""), "niMNGain"),
        (nidq(niAiRangeMax="-5"), "niAiRangeMax"),
        ("", "typeThis"),
    ],
)
def test_a_malformed_header_is_named_with_its_line_or_key(tmp_path, text, said):
    path = tmp_path / "x.ap.meta"
    path.write_text(text)
    with pytest.raises(MetaError) as error:
        read_meta(path)
    assert said in str(error.value) and str(path) in str(error.value)
    assert isinstance(error.value, CbinError)


def test_a_malformed_channel_map_spoils_only_the_names():
    meta = parse_meta(np1(_snsChanMap="(384,0,1)(AP0 0 0)"))
    assert meta.volts_per_bit.shape == (385,)
    with pytest.raises(MetaError, match="snsChanMap"):
        meta.channel_names  # noqa: B018


@given(st.text(max_size=300))
def test_any_text_is_a_header_or_a_clear_error(text):
    with pytest.raises(MetaError):
        parse_meta(text)


@given(st.sampled_from([phase_3a(), np1(), np2(24), nidq()]), st.data())
def test_a_damaged_header_is_a_header_or_a_clear_error(text, data):
    """Never another exception, whatever is cut out or put in."""
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 200)))
    damaged = text[:start] + data.draw(st.text(max_size=20)) + text[stop:]
    try:
        meta = parse_meta(damaged)
    except MetaError:
        return
    assert len(meta.volts_per_bit) == meta.n_channels > 0


@pytest.mark.parametrize(
    ("data", "meta"),
    [
        ("r_g0_t0.imec0.ap.bin", "r_g0_t0.imec0.ap.meta"),
        ("r_g0_t0.imec0.ap.cbin", "r_g0_t0.imec0.ap.meta"),
        ("r_g0_t0.imec0.ap.zarr.zip", "r_g0_t0.imec0.ap.meta"),
        (f"r_g0_t0.imec0.ap.{UUIDS[0]}.cbin", f"r_g0_t0.imec0.ap.{UUIDS[1]}.meta"),
        (f"r_g0_t0.imec0.ap.{UUIDS[0]}.cbin", "r_g0_t0.imec0.ap.meta"),
        ("r_g0_t0.nidq.bin", f"r_g0_t0.nidq.{UUIDS[1]}.meta"),
        (f"r_g0_t0.imec0.ap.stream.{UUIDS[0]}.cbin", "r_g0_t0.imec0.ap.meta"),
    ],
)
def test_the_header_of_a_data_file_is_found_by_name(tmp_path, data, meta):
    (tmp_path / data).touch()
    (tmp_path / meta).write_text(meta_text("x", 0, "0" * 40))
    (tmp_path / "r_g0_t0.imec1.ap.meta").write_text("another probe")
    assert find_meta(tmp_path / data) == tmp_path / meta
    assert read_meta(tmp_path / data).n_channels == 385


def test_two_headers_for_one_file_are_an_error(tmp_path):
    for uuid in UUIDS:
        (tmp_path / f"a.ap.{uuid}.meta").touch()
    with pytest.raises(MetaError, match="several headers"):
        find_meta(tmp_path / "a.ap.bin")


def test_no_header_and_an_unreadable_one_are_errors(tmp_path):
    with pytest.raises(MetaError, match=r"no \.meta"):
        read_meta(tmp_path / "a.ap.bin")
    with pytest.raises(MetaError, match="cannot be read"):
        read_meta(tmp_path / "a.ap.meta")
    with (tmp_path / "big.meta").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(MetaError, match="too large"):
        read_meta(tmp_path / "big.meta")


def test_notes_in_another_encoding_do_not_stop_the_reading(tmp_path):
    path = tmp_path / "a.ap.meta"
    path.write_bytes(np1().encode() + "userNotes=Mäuse\n".encode("latin-1"))
    assert read_meta(path).fields["userNotes"] == "Mäuse"


def complete(text):
    """The header with the keys that other readers insist on."""
    meta = parse_meta(text)
    n = meta.n_channels
    fields = {
        "appVersion": 20230905,
        "fileName": f"C:/r_g0_t0.{'nidq' if meta.kind == 'nidq' else f'imec0.{meta.band}'}.bin",
        "fileSizeBytes": n * 2 * 1000,
        "fileTimeSecs": 1000 / meta.sample_rate,
        "firstSample": 0,
        "_snsChanMap": table("0,0,0", (f"{name};{i}:{i}" for i, name in enumerate(meta.channel_names))),
    }
    if meta.kind == "imec":
        fields["imDatPrb_pn"] = {21: "NP2000", 24: "NP2010", 2013: "NP2013"}.get(meta.probe_type, "NP1010")
    if meta.probe_type is not None:
        fields |= {"imDatPrb_port": 1, "imDatPrb_slot": 2}
    return text + header(**fields)


@pytest.mark.parametrize("text", [phase_3a(), np1(), np1("lf", "384:767"), np2(21), np2(24), np2(2013), nidq()])
def test_gains_agree_with_neo(tmp_path, text):
    """The units per bit that neo (and so SpikeInterface) reads from the same header: microvolts, or volts (nidq)."""
    neo = pytest.importorskip("neo.rawio.spikeglxrawio", reason="pip install neo")
    path = tmp_path / "r.meta"
    path.write_text(complete(text))
    info = neo.extract_stream_info(path, neo.read_meta_file(path))
    ours = read_meta(path)
    analog = slice(0, ours.sync_channels[0])
    unit = 1.0 if ours.kind == "nidq" else 1e6
    np.testing.assert_allclose(ours.volts_per_bit[analog] * unit, info["channel_gains"][analog])


@pytest.mark.parametrize(
    "text", [phase_3a(), np1(), np1("lf", "384:767"), np2(21), np2(24), np2(2013), nidq()], ids=lambda text: ""
)
def test_gains_agree_with_ibl_neuropixel(tmp_path, text):
    """The volts per bit of `spikeglx.Reader`, digital words included."""
    spikeglx = pytest.importorskip("spikeglx", reason="pip install ibl-neuropixel")
    path = tmp_path / "r.meta"
    path.write_text(complete(text))
    ours = read_meta(path)
    theirs = spikeglx._conversion_sample2v_from_meta(spikeglx.read_meta_data(path))[ours.band]
    np.testing.assert_allclose(ours.volts_per_bit, theirs, rtol=1e-6)


@pytest.mark.parametrize("digits", ["²", "9" * 5000, "9" * 12])
def test_numbers_that_are_none_or_beyond_reason_are_refused(digits):
    for key in ("nSavedChans", "snsSaveChanSubset", "snsApLfSy"):
        with pytest.raises(MetaError, match=key):
            parse_meta(np1(**{key: digits}))
    with pytest.raises(MetaError, match="imroTbl"):
        parse_meta(np1(_imroTbl=f"(0,384)({digits} 0 0 500 250 1)"))
