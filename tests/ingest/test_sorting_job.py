"""Protects what a sorter is told, and whether a folder of its results is as it was when it was imported."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ingest.programs.sorting import alf_files, job, one_recording, versions
from pipeline.errors import InvalidSettings


@pytest.fixture
def made(tmp_path) -> job.Job:
    samples = one_recording.Samples(Path("/data/r.ap.bin"), 30_000.0, 5, 60_000, [0, 32], [0, 20], [0, 0], [2e-6, 2e-6])
    return one_recording.prepare(tmp_path, samples, "ks", {"Th": 9}, 4)


def test_the_job_is_a_file_beside_empty_folders(made, tmp_path):
    says = json.loads((tmp_path / "job.json").read_text())
    assert says["positions"] == [[0, 0], [32, 20]] and says["channels"] == [0, 1] and says["protocol"] == job.PROTOCOL
    assert says["uv_per_bit"] == [2.0, 2.0] and says["parameters"] == {"Th": 9}
    assert not any(Path(made.output).iterdir()) and not any(Path(made.scratch).iterdir())


def test_a_command_gets_what_stands_in_braces(made, tmp_path):
    template = ["{python}", "{runner}", "--threads={threads}", "{job}", "{recording}", "{output}", "{scratch}", "{}"]
    command = job.command(template, made, tmp_path / "job.json")
    assert command[:4] == [sys.executable, str(job.RUNNER), "--threads=4", str(tmp_path / "job.json")]
    assert command[4:] == ["/data/r.ap.bin", made.output, made.scratch, "{}"]
    with pytest.raises(InvalidSettings, match="{colour}"):
        job.command(["{colour}"], made, tmp_path / "job.json")


def test_parameters_decide_and_their_order_does_not():
    hashed = job.parameters_hash("ks", "4", {"a": 1, "b": 2})
    assert hashed == job.parameters_hash("ks", "4", {"b": 2, "a": 1})
    assert len({hashed, job.parameters_hash("ks", "3", {"a": 1, "b": 2}), job.parameters_hash("ks", "4", {})}) == 3


def test_the_hash_of_a_folder_depends_on_spikes_and_labels_alone(tmp_path):
    (tmp_path / "spike_times.npy").write_bytes(b"spikes")
    before = versions.content_hash(tmp_path)
    (tmp_path / "phy.log").write_text("opened")
    assert versions.content_hash(tmp_path) == before
    (tmp_path / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n")
    labelled = versions.content_hash(tmp_path)
    (tmp_path / "sorting" / "properties").mkdir(parents=True)
    (tmp_path / "sorting" / "properties" / "quality.npy").write_bytes(b"1")
    assert len({before, labelled, versions.content_hash(tmp_path)}) == 3


def test_the_last_import_is_that_of_the_last_revision(tmp_path):
    assert versions.last_import(tmp_path) is None
    for folder, says in (("", {"content_hash": "a"}), ("#2024-01-01#", {"content_hash": "b"}), ("#2024-02-01#", [])):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / alf_files.SAYS).write_text(json.dumps(says))
    assert versions.last_import(tmp_path) == (tmp_path / "#2024-01-01#", {"content_hash": "b"})
