"""Export, ingest into an empty database, and every table is equal; exported again, the content is equal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pynwb")

from exchange.nwb.export import Options, export  # noqa: E402
from exchange.nwb.intake import ingest  # noqa: E402
from pipeline.schemas import (  # noqa: E402
    acquisition,
    action,
    data,
    ephys,
    identity,
    imaging,
    lab,
    photometry,
    session_events,
    subject,
)
from tests.conftest import empty_tables  # noqa: E402
from tests.exchange.nwb import compare, every_table, sessions  # noqa: E402

pytestmark = pytest.mark.slow


def entered() -> None:
    """Rows that people enter and no file tells."""
    lab.LabMember.update1({"user_name": "ann", "full_name": "Ann Smith", "email": "ann@x.org"})
    animal = {"lab": "lab", "subject": "mouse"}
    action.Surgery.insert1(animal | {"surgery_start": "2024-03-01 09:00:00", "surgery_narrative": "headplate"})
    action.Surgery.Procedure.insert1(
        animal | {"surgery_start": "2024-03-01 09:00:00", "procedure_type": "Headplate implant"}
    )
    action.VirusInjection.insert1(
        animal | {"injection_time": "2024-03-02 09:00:00", "virus_name": "AAV1", "injection_ml": -1200.0}
    )
    subject.Allele.insert1({"allele": "Ai95"})
    subject.Genotype.insert1(animal | {"allele": "Ai95", "zygosity": "Heterozygous"})
    subject.Line.Carries.insert1({"line": "C57BL/6J", "allele": "Ai95"})
    subject.GrowthCurve.insert1({"growth_curve": "ours"})
    subject.GrowthCurve.Week.insert1(
        {"growth_curve": "ours", "curve_sex": "F", "age_weeks": 12, "growth_mean": 20.5, "growth_sd": 1.5}
    )
    subject.GrowthCurveUse.insert1({"lab": "lab", "growth_line": "C57BL/6J", "growth_curve": "ours"})
    lab.HusbandryRules.insert1({"lab": "lab", "critical_weight_pct": 0.7})
    lab.LabMember.insert1({"user_name": "vet"})
    action.DrugAdministration.insert1(
        animal | {"drug_time": "2024-03-01 10:00:00", "drug_name": "Carprofen", "drug_user": "vet"}
    )
    action.Surgery.Site.insert1(animal | {"surgery_start": "2024-03-01 09:00:00", "site_number": 1, "site_ml": -1200.0})
    session = acquisition.Session.keys()[0]
    acquisition.Session.update1(
        session | {"session_qc": "WARNING", "session_json": {"a": [1, None]}, "extended_qc": {"x": 0.5}}
    )
    identity.FormerSubject.insert1(animal | {"former_lab": "lab", "former_subject": "m1"})
    was = {"former_lab": "lab", "former_subject": "m1", "former_date": "2024-04-30", "former_number": 2}
    identity.FormerSession.insert1(session | was)
    identity.SessionConfirmation.insert1(
        session
        | {"settings_subject": "other", "confirmation_user": "ann", "confirmation_time": "2024-05-02 08:00:00.25"}
    )
    chosen = ephys.Clustering.keys(order_by="clustering")[0]
    ephys.DefaultClustering.insert1(
        chosen | {"chosen_clustering": chosen["clustering"], "chosen_by": "ann"}, ignore_extra_fields=True
    )
    data.Tag.insert1({"tag": "release1", "tag_public": True})
    one = data.Dataset.keys(order_by="rel_path")[0]
    data.DatasetTag.insert1(one | {"tag": "release1"})
    data.Dataset.update1(one | {"dataset_qc": "PASS"})


def there_and_back(connection: dj.Connection, tmp_path: Path, options: Options | None = None) -> tuple[Path, Path]:
    """Export what is registered, ingest it into an empty database, compare; returns both exports."""
    before = sessions.content()
    first = export(acquisition.Session.keys(), tmp_path / "first", options)
    assert [item.state for item in first] == ["written"] * len(first), first
    empty_tables(connection)
    intakes = ingest([item.path for item in first], tmp_path / "again")
    assert [item.state for item in intakes] == ["written"] * len(first), intakes
    sessions.populate()
    after = sessions.content()
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
    second = export(acquisition.Session.keys(), tmp_path / "second", options)
    for one, other in zip(first, second, strict=True):
        assert one.path.is_dir() or compare.differences(one.path, other.path) == []
    return first[0].path, second[0].path


def test_a_session_of_every_modality(database: dj.Connection, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    sessions.everything(root)
    sessions.register(root, sessions.enter(root), compute=False)
    entered()
    every_table.fill()
    sessions.populate()
    assert every_table.not_computed() == set()
    path, _ = there_and_back(database, tmp_path)
    assert len(acquisition.Session() & {"session_qc": "WARNING"}) == len(data.DatasetTag()) == 1
    for table in (
        identity.FormerSubject,
        identity.FormerSession,
        identity.SessionConfirmation,
        ephys.DefaultClustering,
        subject.Line.Carries,
        subject.GrowthCurve.Week,
        action.DrugAdministration,
        photometry.TraceSet,
        session_events.PassivePeriods,
    ):
        assert len(table()) == 1, table
    again = ingest([path], tmp_path / "again")[0]
    assert again.state == "equal"


def test_a_two_photon_session(database: dj.Connection, tmp_path: Path) -> None:
    """Its regions of interest are rows again, and where it lies stays what the files, or a person, said."""
    root = tmp_path / "data"
    sessions.two_photon(root)
    sessions.register(root, sessions.enter(root, **{"trajectories.csv": None}))
    field = imaging.FieldOfView.keys()[0]
    assert (imaging.FieldLocation & field).fetch1("location_of_files") and len(imaging.RoiSet.Roi()) == 4
    assert len(imaging.RoiSet.Roi & {"roi_type": "cell"} & "region_id IS NOT NULL") == 2
    there_and_back(database, tmp_path)
    assert len(imaging.RoiSet.Roi()) == 4 and len(imaging.FieldLocation.Region()) == 1
    assert len(acquisition.Session()) == 1


def odd_arrays(chance: np.random.Generator, folder: Path, choices: dict[str, Any]) -> None:
    """Trials, wheel and spikes in the types, orders and lengths that rigs and programs write."""
    trials = sessions.trials(chance, choices["n_trials"])
    if choices["as_table"]:
        flat = {name: v for name, v in trials.items() if v.ndim == 1}
        flat |= {f"intervals_{i}": trials["intervals"][:, i] for i in range(2)}
        sessions.save(folder, _ibl_trials__table=pd.DataFrame(flat))
    else:
        kind = choices["kind"]
        trials = {n: v.astype(kind) if v.dtype.kind == "f" and n == "rewardVolume" else v for n, v in trials.items()}
        if choices["fortran"]:
            trials["intervals"] = np.asfortranarray(trials["intervals"])
        if choices["without_times"]:
            trials = {n: v for n, v in trials.items() if not n.endswith("times") and n != "intervals"}
        sessions.save(folder, **{f"_ibl_trials__{name}": values for name, values in trials.items()})
    times = np.arange(500) / 1000 if choices["even"] else np.cumsum(chance.uniform(1e-3, 2e-3, 500))
    position = np.cumsum(chance.choice([-1, 1], 500)) * 2 * np.pi / 4096
    sessions.save(folder, _ibl_wheel__timestamps=times, _ibl_wheel__position=position)
    n_spikes = choices["n_spikes"]
    spikes = np.sort(np.round(chance.uniform(0, 20, n_spikes), 2))  # many at one time
    ids = chance.choice(choices["ids"], n_spikes) if n_spikes else np.empty(0, int)
    probe = folder / "probe00"
    sessions.save(
        probe,
        spikes__times=spikes,
        spikes__clusters=ids.astype(np.uint32),
        spikes__amps=np.full(n_spikes, 1e-4, np.float32),
    )
    if choices["column"]:
        sessions.save(
            probe, clusters__depths=np.arange(9, dtype=">f8")[:, None], clusters__channels=np.arange(9)[:, None]
        )
    sessions.save(folder, lever__times=spikes[:10], lever__force=spikes[:10] * 2)


ODD_FILES = st.fixed_dictionaries(
    {
        "n_trials": st.integers(2, 30),
        "as_table": st.booleans(),
        "kind": st.sampled_from(["<f4", ">f8", "<f8"]),
        "fortran": st.booleans(),
        "without_times": st.booleans(),
        "even": st.booleans(),
        "n_spikes": st.sampled_from([0, 1, 300]),
        "ids": st.sampled_from([[0, 1, 2], [8, 3], [0, 8]]),
        "column": st.booleans(),
        "seed": st.integers(0, 1000),
    }
)


@pytest.mark.one_database
@given(ODD_FILES)
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_come_back_to_the_byte(server: dict[str, object], tmp_path_factory: Any, choices: dict[str, Any]) -> None:
    to_the_byte(server, tmp_path_factory, choices)


@pytest.mark.soak
@given(ODD_FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_come_back_to_the_byte_at_length(
    server: dict[str, object], tmp_path_factory: Any, choices: dict[str, Any]
) -> None:
    to_the_byte(server, tmp_path_factory, choices)


def to_the_byte(server: dict[str, object], tmp_path_factory: Any, choices: dict[str, Any]) -> None:
    from pipeline import settings as ours

    tmp_path = tmp_path_factory.mktemp("trip")
    with ours.override(**server):
        connection = dj.conn()
        empty_tables(connection)
        root = tmp_path / "data"
        root.mkdir()
        odd_arrays(np.random.default_rng(choices["seed"]), root / sessions.SESSION / "alf", choices)
        sessions.register(root, sessions.enter(root, **{"trajectories.csv": None}))
        there_and_back(connection, tmp_path)
    shutil.rmtree(tmp_path)


def test_what_is_there_stays_as_it_is(database: dj.Connection, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    sessions.save(
        root / sessions.SESSION / "alf",
        **{f"_ibl_trials__{n}": v for n, v in sessions.trials(np.random.default_rng(1)).items()},
    )
    sessions.register(root, sessions.enter(root, **{"trajectories.csv": None}))
    path = export(acquisition.Session.keys(), tmp_path / "out")[0].path
    subject.Subject.update1({"lab": "lab", "subject": "mouse", "sex": "M"})
    intakes = ingest([path], root)[0]
    assert intakes.state == "equal"
    assert (subject.Subject & {"subject": "mouse"}).fetch1("sex") == "M"
    assert any("sex" in line.detail and line.state == "left out" for line in intakes.lines)
    np.save(root / sessions.SESSION / "alf" / "_ibl_trials.choice.npy", np.zeros(40))
    intakes = ingest([path], root)[0]
    assert intakes.state == "failed"
    assert "other content (alf/_ibl_trials.choice.npy)" in intakes.problem
    assert not list(root.glob(".nwb*"))


def test_an_export_is_equal_in_whatever_order_a_database_returns_rows(database: dj.Connection, tmp_path: Path) -> None:
    """A row that is removed and entered again lies last."""
    root = tmp_path / "data"
    root.mkdir()
    trials = sessions.trials(np.random.default_rng(1))
    sessions.save(root / sessions.SESSION / "alf", **{f"_ibl_trials__{n}": v for n, v in trials.items()})
    sessions.register(root, sessions.enter(root, **{"trajectories.csv": None}))
    rows = [{"lab": "lab", "subject": "mouse", "allele": name, "zygosity": "Heterozygous"} for name in ("Cre", "Ai95")]
    for row in rows:
        subject.Allele.insert1({"allele": row["allele"]})
        subject.Genotype.insert1(row)
    assert export(acquisition.Session.keys(), tmp_path / "out")[0].state == "written"
    for table in (subject.Genotype, subject.Allele):
        (table & {"allele": "Cre"}).delete_quick()
    subject.Allele.insert1({"allele": "Cre"})
    subject.Genotype.insert1(rows[0])
    assert export(acquisition.Session.keys(), tmp_path / "out")[0].state == "equal"


def test_raw_recordings_come_back(database: dj.Connection, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    chance = np.random.default_rng(2)
    sessions.probe(root / sessions.SESSION / "alf" / "probe00", chance)
    folder = root / sessions.SESSION / "raw_ephys_data" / "probe00"
    folder.mkdir(parents=True)
    write_recording(folder, chance)
    sessions.register(root, sessions.enter(root))
    raw = next(folder.glob("*.bin")).read_bytes()
    exported = export(acquisition.Session.keys(), tmp_path / "out", Options(raw=True))[0]
    assert exported.state == "written", exported.problem
    assert not exported.left_out
    import pynwb

    with pynwb.NWBHDF5IO(exported.path, "r") as io:
        series = io.read().acquisition["ap_probe00"]
        samples = np.frombuffer(raw, np.int16).reshape(-1, 17)
        assert np.array_equal(series.data[:], samples[:, :16])
        assert series.rate == 30000.0
        assert series.conversion == pytest.approx(0.6 / 512 / 500)
        assert len(series.electrodes.data) == 16
    empty_tables(database)
    back = ingest([exported.path], tmp_path / "again")[0]
    assert back.state == "written", back.problem
    assert next((tmp_path / "again").rglob("*.ap.bin")).read_bytes() == raw


@pytest.mark.one_database
def test_a_zarr_store_comes_back(database: dj.Connection, tmp_path: Path) -> None:
    """Where zarr 2 is installed (extra nwb-zarr, in an environment of its own)."""
    pytest.importorskip("hdmf_zarr", minversion="0.13", reason="hdmf-zarr needs zarr 2", exc_type=ImportError)
    from exchange.nwb import checking

    root = tmp_path / "data"
    root.mkdir()
    sessions.everything(root)
    sessions.register(root, sessions.enter(root))
    path, _ = there_and_back(database, tmp_path, Options(backend="zarr"))
    assert path.name.endswith(".nwb.zarr")
    checked = checking.check(path)
    assert not checked.problem
    own = [
        finding for finding in checked.findings if not finding.name.startswith("During evaluation of")
    ]  # the inspector's own errors
    assert own == []
    assert export(acquisition.Session.keys(), tmp_path / "first", Options(backend="zarr"))[0].state == "equal"


@pytest.mark.one_database
def test_raw_recordings_are_in_the_time_of_the_session(database: dj.Connection, tmp_path: Path) -> None:
    """A probe that started late on a clock of its own, and the frames of a camera on a line of the NIDQ."""
    import pynwb

    from exchange.nwb import checking
    from pipeline.electrophysiology.raw_formats import nwb_file
    from tests.ephys import test_session_clocks as clocks

    root = tmp_path / "data"
    root.mkdir()
    truth = {device: clocks.write(root / sessions.SESSION, device) for device in ("nidq", "imec0")}
    (raw,) = (root / sessions.SESSION).rglob("*.nidq.bin")
    wiring = {"SYNC_WIRING_DIGITAL": {"P0.3": "left_camera"}}
    raw.with_name(raw.name.replace(".bin", ".wiring.json")).write_text(json.dumps(wiring))
    sessions.register(root, sessions.enter(root))
    path, _ = there_and_back(database, tmp_path, Options(raw=True))
    assert checking.inspect(path) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        probe = nwbfile.acquisition["ap_probe00"]
        times = probe.starting_time + np.arange(len(probe.data)) / probe.rate
        assert np.abs(times - truth["imec0"]).max() < 2e-4
        events = nwbfile.events["nidq_digital_lines"]
        lines, rises = (np.asarray(events[name].data[:]) for name in ("line", "rises"))
        frames = np.asarray(events["timestamp"].data[:])[(lines == 3) & rises]
        np.testing.assert_allclose(frames, clocks.FRAMES, atol=1.1e-4)
        assert "probe00_digital_lines" in nwbfile.events
        named = np.asarray(events["line_name"].data[:])
        assert set(named[lines == 3]) == {"left_camera"} and set(named[lines != 3]) <= {""}
    shutil.copy(path, tmp_path / "raw.nwb")
    changes, names = nwb_file.own_changes(tmp_path / "raw.nwb")  # the file as a raw recording has the same lines
    assert names[3] == "left_camera" and np.sum(changes[3][1] > 0) == len(frames)
    exported = export(acquisition.Session.keys(), tmp_path / "third")[0]
    with pynwb.NWBHDF5IO(exported.path, "r") as io:
        assert set(io.read().events) == {"nidq_digital_lines"}


@pytest.mark.one_database
def test_sortings_are_exported_as_they_are_read(database: dj.Connection, tmp_path: Path) -> None:
    """uV for V, mm for um, numbers from 1, spikes out of order and of no unit: in NWB they are as the tables say."""
    import pynwb

    from tests.ephys import trees

    files = trees.sorting() | {"channels.rawInd": np.arange(1, trees.N_CHANNELS + 1)}
    chance = np.random.default_rng(0)
    shapes = chance.normal(0, 1, (5, 30, trees.N_CHANNELS)) * 20e-6
    shapes[np.arange(5), 15, np.arange(5)] = -files["clusters.amps"]
    odd = files | {"clusters.waveforms": shapes * 1e6}
    odd["channels.localCoordinates"] = odd["channels.localCoordinates"] * np.array([1, 10])  # the depths of the units
    odd["clusters.channels"] = np.array([1, 2, 3, 4, 12])
    odd["clusters.depths"] = odd["channels.localCoordinates"][odd["clusters.channels"] - 1, 1] / 1e3
    odd["spikes.depths"] = odd["clusters.depths"][odd["spikes.clusters"]] + chance.normal(
        0, 0.001, len(files["spikes.times"])
    )
    names = {"spikes.clusters": odd["spikes.clusters"] + 1}
    names["spikes.clusters"][7] = -1
    for name in ("spikes.times", "spikes.amps", "spikes.depths"):
        odd[name] = odd[name].copy()
        odd[name][[20, 21]] = odd[name][[21, 20]]
    names["spikes.clusters"][[20, 21]] = names["spikes.clusters"][[21, 20]]
    root = tmp_path / "data"
    trees.write(root, odd | names)
    sessions.register(root, sessions.enter(root))
    sessions.populate()
    units = ephys.ClusterSet.Cluster().to_dicts(order_by="cluster_id")
    (exported,) = export(acquisition.Session.keys(), tmp_path / "first", Options(incomplete=True))
    assert exported.state == "written", exported.problem
    with pynwb.NWBHDF5IO(exported.path, "r") as io:
        nwbfile = io.read()
        table = nwbfile.units.to_dataframe()
        np.testing.assert_array_equal(nwbfile.electrodes["raw_channel"].data[:], np.arange(trees.N_CHANNELS))
        assert table["cluster_id"].tolist() == [row["cluster_id"] for row in units] == [1, 2, 3, 4, 5]
        assert [len(times) for times in table["spike_times"]] == [row["cluster_n_spikes"] for row in units]
        for row, times in zip(units, table["spike_times"], strict=True):
            np.testing.assert_allclose(times, ephys.spikes(row, clusters=[row["cluster_id"]]).times, atol=1e-6)
        assert table["max_channel"].tolist() == [row["cluster_channel"] for row in units]
        np.testing.assert_allclose(table["depth"], [row["cluster_depth"] for row in units], rtol=1e-6)
        np.testing.assert_allclose(np.stack(table["waveform_mean"]), shapes, rtol=1e-4, atol=1e-9)


def write_recording(folder: Path, chance: np.random.Generator) -> None:
    """An AP recording of 16 channels and the synchronisation channel, with its header."""
    samples = chance.integers(-200, 200, (40_000, 17)).astype(np.int16)
    path = folder / "_spikeglx_ephysData_g0_t0.imec0.ap.bin"
    samples.tofile(path)
    imro = "".join(f"({channel} 0 0 500 250 1)" for channel in range(16))
    said = {
        "typeThis": "imec", "imSampRate": 30000, "nSavedChans": 17, "fileSizeBytes": samples.nbytes, "imDatPrb_type": 0,
        "imAiRangeMax": 0.6, "imAiRangeMin": -0.6, "imMaxInt": 512, "snsApLfSy": "16,0,1",
        "snsSaveChanSubset": "0:15,768", "fileTimeSecs": 1.333, "imDatPrb_sn": 12345, "~imroTbl": f"(0,384){imro}",
    }  # fmt: skip
    path.with_suffix(".meta").write_text("".join(f"{name}={value}\n" for name, value in said.items()))


def test_files_for_dandi_hold_nothing_of_the_lab(database: dj.Connection, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    folder = sessions.everything(root)
    settings_file = folder / "raw_behavior_data" / "_iblrig_taskSettings.raw.json"
    settings_file.write_text(
        json.dumps({"PYBPOD_CREATOR": ["secret_person"], "SESSION_DATETIME": "2024-05-01T10:00:00"})
    )
    sessions.register(root, sessions.enter(root))
    entered()
    exported = export(acquisition.Session.keys(), tmp_path / "out", Options(dandi=True))[0]
    assert exported.state == "written", exported.problem
    assert exported.path.parent.name == "sub-mouse"
    text = exported.path.read_bytes()
    assert b"secret_person" not in text
    assert b"ann@x.org" not in text
    assert str(settings_file.relative_to(folder)) in exported.left_out
    empty_tables(database)
    back = ingest([exported.path], tmp_path / "again")[0]
    assert back.state == "written", back.problem
    states = {line.name: line.state for line in back.lines}
    assert states["alf/_ibl_trials.intervals.npy"] == "equal"
    assert states["alf/_ibl_leftCamera.dlc.pqt"] == "values"
