"""Every kind of damage is really there, and nothing but that is damaged."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from one.alf.path import ALFPath
from one.alf.spec import is_valid

from ingest.simulate import damage, write_lab
from ingest.simulate.files import ALF_NAMES

REASONS = {
    "truncated", "empty_file", "object_array", "unreadable_file", "unequal_length", "time_backwards", "value_range",
    "not_alf", "bad_session_path", "symlink_outside", "permission_denied", "duplicate_column", "bad_metadata",
}  # fmt: skip


@pytest.fixture
def damaged(tmp_path, request):
    """A session with the kind of damage named by the parameter, and what an ingest has to say of it."""
    session = tmp_path / "root" / "simlab" / "Subjects" / "mouse" / "2023-09-04" / "001"
    damage.write_valid(session)
    return session, damage.KINDS[request.param](session)


def _root(session):
    return session.parents[4]


def _problem(session, path):
    """What is wrong with one file on its own, found without the code under test and without loading pickles."""
    if path.is_symlink() and not path.resolve().is_relative_to(_root(session)):
        return "symlink_outside"
    if not is_valid(path.name):
        return "not_alf"
    if path.stat().st_size == 0:
        return "empty_file"
    if path.suffix == ".npy":
        return _npy_problem(path)
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_text())
        elif path.suffix == ".pqt":
            pq.read_table(path)
    except (json.JSONDecodeError, yaml.YAMLError):
        return "bad_metadata"
    except (pa.ArrowInvalid, OSError):
        return "unreadable_file"
    return None


def _npy_problem(path):
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            return "unreadable_file"
        file.seek(0)
        try:
            version = np.lib.format.read_magic(file)
            assert version == (1, 0)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError:
            return "truncated"
        if dtype.hasobject:
            return "object_array"
        left = path.stat().st_size - file.tell()
    if left < np.prod(shape) * dtype.itemsize:
        return "truncated"
    values, attribute = np.load(path, allow_pickle=False), path.name.split(".")[1]
    if attribute.endswith(("_times", "times", "timestamps")) and np.any(np.diff(values[~np.isnan(values)]) < 0):
        return "time_backwards"
    allowed = {
        "choice": (-1, 0, 1), "feedbackType": (-1, 1), "contrastLeft": (0, 0.0625, 0.125, 0.25, 0.5, 1),
        "probabilityLeft": (0.2, 0.5, 0.8),
    }  # fmt: skip
    if attribute in allowed and not np.isin(values[~np.isnan(values)], allowed[attribute]).all():
        return "value_range"
    return None


def _problems(session):
    """Path and problem of every damaged file of a session, folders that are links counted as one."""
    result = {}
    for path in sorted(session.rglob("*")):
        if path.is_symlink() or path.is_file():
            problem = _problem(session, path)
            if problem:
                result[path.relative_to(_root(session)).as_posix()] = problem
    return result


def _lengths(session):
    return {p.name: len(np.load(p)) for p in (session / "alf").glob("_ibl_trials.*.npy")}


SEEN_IN_ONE_FILE = [
    name
    for name in damage.KINDS
    if not name.startswith(("unequal_length", "duplicate", "permission", "impossible_date"))
]


def test_a_session_is_valid_before_it_is_damaged(tmp_path):
    """The control: the checks of this file find nothing in an undamaged session."""
    session = tmp_path / "root" / "simlab" / "Subjects" / "mouse" / "2023-09-04" / "001"
    trials = damage.write_valid(session)
    assert _problems(session) == {}
    assert set(_lengths(session).values()) == {damage.N_TRIALS} == {len(trials["choice"])}


@pytest.mark.parametrize("damaged", SEEN_IN_ONE_FILE, indirect=True)
def test_damage_is_where_it_is_said_to_be_and_nowhere_else(damaged):
    session, expected = damaged
    assert _problems(session) == {entry.path: entry.reason for entry in expected}
    assert expected
    assert not damage.marker(session).exists()


@pytest.mark.parametrize("damaged", ["unequal_length_one"], indirect=True)
def test_one_column_is_short(damaged):
    session, (entry,) = damaged
    lengths = _lengths(session)
    assert lengths.pop(entry.path.rsplit("/", 1)[1]) == damage.N_TRIALS - 1
    assert set(lengths.values()) == {damage.N_TRIALS}
    assert entry.column == "response_times"


@pytest.mark.parametrize("damaged", ["unequal_length_all"], indirect=True)
def test_all_columns_differ_in_length(damaged):
    session, expected = damaged
    lengths = _lengths(session)
    assert len(set(lengths.values())) == len(lengths) == len(expected) > 10
    assert {entry.path.rsplit("/", 1)[1] for entry in expected} == set(lengths)
    assert {entry.column for entry in expected} == {*ALF_NAMES, "intervals"}


@pytest.mark.parametrize("damaged", ["duplicate_npy", "duplicate_table_and_npy"], indirect=True)
def test_two_files_disagree_on_one_column(damaged):
    session, expected = damaged
    values = []
    for entry in expected:
        path = _root(session) / entry.path
        values.append(np.load(path) if path.suffix == ".npy" else pq.read_table(path)["choice"].to_numpy())
    assert len(values) == 2
    assert values[0].shape == values[1].shape
    assert np.any(values[0] != values[1])
    assert {entry.column for entry in expected} == {"choice"}
    assert _problems(session) == {}


@pytest.mark.parametrize("damaged", ["permission_denied"], indirect=True)
def test_file_cannot_be_read_except_by_the_superuser(damaged):
    session, expected = damaged
    path = session / "alf" / "_ibl_trials.choice.npy"
    assert path.stat().st_mode & 0o777 == 0
    if os.access(path, os.R_OK):
        assert expected == []
    else:
        assert [entry.reason for entry in expected] == ["permission_denied"]
        with pytest.raises(PermissionError):
            path.read_bytes()


@pytest.mark.parametrize("damaged", ["impossible_date"], indirect=True)
def test_session_folder_has_an_impossible_date(damaged):
    session, (entry,) = damaged
    folder = _root(session) / entry.path
    assert not session.exists()
    assert (folder / "alf" / "_ibl_trials.choice.npy").exists()
    assert ALFPath(folder / "alf" / "_ibl_trials.choice.npy").session_path() is None


@pytest.mark.parametrize("damaged", ["object_array"], indirect=True)
def test_object_array_is_refused_by_a_safe_reader(damaged):
    session, (entry,) = damaged
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(_root(session) / entry.path, allow_pickle=False)
    content = (_root(session) / entry.path).read_bytes()
    assert str(damage.marker(session)).encode() in content
    assert not damage.marker(session).exists()


@pytest.mark.parametrize("damaged", ["yaml_python_tag"], indirect=True)
def test_yaml_tag_is_well_formed_and_calls_a_function(damaged):
    """Refused by the safe loader for its tag, not for its syntax."""
    session, (entry,) = damaged
    text = (_root(session) / entry.path).read_text()
    tags = [event.tag for event in yaml.parse(text) if getattr(event, "tag", None)]
    assert tags == ["tag:yaml.org,2002:python/object/apply:builtins.open"]
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.safe_load(text)


def test_a_lab_lists_what_an_ingest_must_say_of_its_damaged_sessions(tmp_path):
    """One session per kind, of a subject that names it; the healthy sessions stay as they are without damage."""
    truth = json.loads(write_lab(tmp_path / "root", n_mice=1, n_sessions=2, damaged=True).read_text())
    subjects = {p.name for p in (tmp_path / "root" / "simlab" / "Subjects").iterdir()}
    assert subjects == {*truth["mice"], *(f"damaged_{name}" for name in damage.KINDS)}
    assert {entry["reason"] for entry in truth["damaged"]} <= REASONS
    locked = next((tmp_path / "root/simlab/Subjects/damaged_permission_denied").rglob("_ibl_trials.choice.npy"))
    silent = {"permission_denied"} if os.access(locked, os.R_OK) else set()
    assert {entry["kind"] for entry in truth["damaged"]} == set(damage.KINDS) - silent
    for entry in truth["damaged"]:
        assert f"/damaged_{entry['kind']}/" in entry["path"]
        assert os.path.lexists(tmp_path / "root" / entry["path"])
    healthy = json.loads(write_lab(tmp_path / "without", n_mice=1, n_sessions=2).read_text())
    assert healthy["sessions"] == truth["sessions"]
