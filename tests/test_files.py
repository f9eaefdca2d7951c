"""Protects reading: no file is ever executed, every rule refuses what breaks it and no more, order does not matter."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.alf import columns as alf
from pipeline.errors import InvalidData
from pipeline.schemas.inputs.files import assemble, load

N = 12


def npy(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


def pqt(columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def trials() -> dict[str, np.ndarray]:
    """Attribute -> values of a small valid object."""
    start = np.arange(N) * 3.0
    return {
        "intervals": np.column_stack([start, start + 2]),
        "choice": np.where(np.arange(N) % 3 == 0, 1, -1),
        "feedbackType": np.where(np.arange(N) % 2 == 0, 1.0, -1.0),
        "contrastLeft": np.where(np.arange(N) % 2 == 0, 0.25, np.nan),
        "contrastRight": np.where(np.arange(N) % 2 == 0, np.nan, 1.0).astype(np.float32),
        "stimOn_times": np.where(np.arange(N) == 4, np.nan, start + 0.5),
        "included": np.ones(N, bool),
    }


def as_files(attributes, namespace="_ibl_", folder="alf") -> dict[str, bytes]:
    return {f"{folder}/{namespace}trials.{name}.npy": npy(values) for name, values in attributes.items()}


def reasons(result) -> set[tuple[str, str, str]]:
    return {(refusal.path.rpartition("/")[2], refusal.reason, refusal.column) for refusal in result.refusals}


def test_a_valid_object_becomes_typed_columns():
    assembled = assemble("trials", as_files(trials()))
    assert not assembled.refusals
    assert {name: values.dtype.kind for name, values in assembled.values.items()} == {
        "intervals_0": "f", "intervals_1": "f", "stim_on_times": "f", "choice": "i", "feedback_type": "i",
        "contrast_left": "f", "contrast_right": "f", "included": "b",
    }  # fmt: skip
    assert set(assembled.absent) == {column.name for column in alf.TRIALS} - assembled.values.keys()
    np.testing.assert_array_equal(assembled.values["intervals_1"], trials()["intervals"][:, 1])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_files_and_any_split_between_files_and_table_gives_the_same_columns(data):
    expected = assemble("trials", as_files(trials()))
    in_table = data.draw(st.sets(st.sampled_from(sorted(trials()))))
    table, files = {}, {}
    for name, values in trials().items():
        if name not in in_table or data.draw(st.booleans()):  # some are in both
            files[f"alf/{data.draw(st.sampled_from(['_ibl_', '']))}trials.{name}.npy"] = npy(values)
        if name in in_table and values.ndim == 2:
            table |= {f"{name}_{i}": values[:, i] for i in range(2)}
        elif name in in_table:
            table[name] = values
    if table:
        files["alf/_ibl_trials.table.pqt"] = pqt(table)
    assembled = assemble("trials", dict(data.draw(st.permutations(list(files.items())))))
    assert not assembled.refusals
    assert list(assembled.values) == list(expected.values)
    for name, values in expected.values.items():
        assert assembled.values[name].dtype == values.dtype
        np.testing.assert_array_equal(assembled.values[name], values)


@pytest.mark.parametrize(
    ("attribute", "row", "value", "reason", "column"),
    [
        ("choice", 3, 2, "value_range", "choice"),
        ("feedbackType", 3, 0.5, "value_range", "feedback_type"),
        ("contrastLeft", 2, 25.0, "value_range", "contrast_left"),
        ("contrastRight", 3, -0.1, "value_range", "contrast_right"),
        ("stimOn_times", 6, np.inf, "value_range", "stim_on_times"),
        ("stimOn_times", 6, 0.0, "time_backwards", "stim_on_times"),
        ("stimOn_times", 5, 6.4, "time_backwards", "stim_on_times"),  # against the row before the NaN
    ],
)
def test_a_broken_value_costs_only_its_column(attribute, row, value, reason, column):
    broken = trials()
    broken[attribute] = broken[attribute].copy()
    broken[attribute][row] = value
    assembled = assemble("trials", as_files(broken))
    assert reasons(assembled) == {(f"_ibl_trials.{attribute}.npy", reason, column)}
    assert assembled.refused == {column: reason}
    assert assembled.values.keys() == assemble("trials", as_files(trials())).values.keys() - {column}
    assert "row" in assembled.refusals[0].detail


def test_equal_times_and_missing_times_are_in_order():
    times = np.array([np.nan, 1, 1, np.nan, 2, np.nan])
    assert not assemble("licks", {"alf/licks.times.npy": npy(times)}).refusals


def test_an_interval_that_ends_before_it_starts_is_refused():
    broken = trials()
    broken["intervals"] = broken["intervals"].copy()
    broken["intervals"][7, 1] = 20.5  # after the end of the row before, before its own start
    assembled = assemble("trials", as_files(broken))
    assert reasons(assembled) == {("_ibl_trials.intervals.npy", "time_backwards", "intervals")}
    assert not {"intervals_0", "intervals_1"} & assembled.values.keys()


def test_a_column_of_another_length_is_refused_and_without_majority_all_are():
    short = trials() | {"choice": trials()["choice"][:-1]}
    assembled = assemble("trials", as_files(short))
    assert reasons(assembled) == {("_ibl_trials.choice.npy", "unequal_length", "choice")}
    two = {"choice": np.ones(5, int), "feedbackType": np.ones(6)}
    assembled = assemble("trials", as_files(two))
    assert not assembled.values and set(assembled.refused) == {"choice", "feedback_type"}


def test_attributes_without_a_column_follow_the_columns():
    extra = trials() | {"laser": np.zeros(N), "notes": np.zeros(N + 1)}
    assembled = assemble("trials", as_files(extra))
    assert assembled.other == ["laser"] and assembled.refused == {"notes": "unequal_length"}
    assert len(assembled.values) == 8


def test_two_files_that_agree_are_one_column_and_two_that_differ_none():
    both = as_files(trials()) | as_files({"choice": trials()["choice"].astype(float)}, namespace="")
    assert not assemble("trials", both).refusals
    differ = as_files(trials()) | as_files({"choice": -trials()["choice"]}, namespace="")
    assembled = assemble("trials", differ)
    assert reasons(assembled) == {(f"{n}trials.choice.npy", "duplicate_column", "choice") for n in ("_ibl_", "")}


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_copies_of_different_precision_agree_as_far_as_the_coarser_can_tell(kind):
    exact = np.array([0.1, 1234.5678901, np.nan, 2.0e3])
    files = {"alf/trials.response_times.npy": npy(np.sort(exact).astype(kind))}
    files["alf/trials.table.pqt"] = pqt({"response_times": np.sort(exact), "choice": np.ones(4)})
    assembled = assemble("trials", files)
    assert not assembled.refusals
    np.testing.assert_array_equal(assembled.values["response_times"], np.sort(exact))
    files["alf/trials.response_times.npy"] = npy((np.sort(exact) * 1.01).astype(kind))
    assert assemble("trials", files).refused == {"response_times": "duplicate_column"}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from(["repeat", "back", "ahead", "missing"]))
def test_a_few_bad_samples_do_not_cost_the_wheel(seed, n_bad, fault):
    """Repeated, backward, far-ahead or missing times; as few samples as possible go, and they are counted."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.uniform(0.01, 0.05, 1000))
    rows = 2 + 10 * chance.choice(99, n_bad, replace=False)
    bad = times.copy()
    bad[rows] = {"repeat": times[rows - 1], "back": times[rows - 2] - 1e-3, "ahead": 99.0 + rows, "missing": np.nan}[
        fault
    ]
    position = np.arange(1000.0)
    assembled = assemble(
        "wheel", {"alf/_ibl_wheel.timestamps.npy": npy(bad), "alf/_ibl_wheel.position.npy": npy(position)}
    )
    assert not assembled.refusals
    assert assembled.dropped == n_bad
    assert np.all(np.diff(assembled.values["timestamps"]) > 0)
    assert np.isin(assembled.values["position"], np.delete(position, rows)).all() or fault in ("repeat", "back")


def test_a_clock_that_was_restarted_costs_the_wheel():
    times = np.r_[np.arange(500.0), np.arange(500.0)]
    assembled = assemble("wheel", {"alf/wheel.timestamps.npy": npy(times), "alf/wheel.position.npy": npy(times)})
    assert assembled.refused == {"timestamps": "time_backwards"}
    assert "500 of 1000 samples" in assembled.refusals[0].detail


def test_a_broken_copy_does_not_cost_the_column():
    half = as_files(trials()) | as_files({"choice": np.full(N, 7)}, namespace="")
    assembled = assemble("trials", half)
    np.testing.assert_array_equal(assembled.values["choice"], trials()["choice"])
    assert reasons(assembled) == {("trials.choice.npy", "value_range", "choice")} and not assembled.refused


def test_the_last_revision_counts_whatever_its_format():
    old = as_files(trials())
    new = {"alf/#2024-01-01#/_ibl_trials.table.pqt": pqt({"choice": -trials()["choice"]})}
    assembled = assemble("trials", old | new)
    assert not assembled.refusals
    np.testing.assert_array_equal(assembled.values["choice"], -trials()["choice"])


def test_two_points_of_timestamps_are_interpolated():
    points = np.array([[0, 10.0], [4, 12.0]])
    files = {"alf/wheel.position.npy": npy(np.arange(5.0)), "alf/wheel.timestamps.npy": npy(points)}
    assembled = assemble("wheel", files)
    np.testing.assert_allclose(assembled.values["timestamps"], [10, 10.5, 11, 11.5, 12])


def test_columns_of_matlab_and_single_column_tables_are_vectors():
    files = {"alf/wheel.position.npy": npy(np.arange(3.0)[:, None]), "alf/wheel.timestamps.csv": b"t\n1\n2\n3\n"}
    assembled = assemble("wheel", files)
    assert assembled.values["position"].shape == assembled.values["timestamps"].shape == (3,)


@pytest.mark.parametrize("values", [np.zeros((N, 3)), np.zeros(N), np.zeros(())])
def test_intervals_of_another_shape_are_refused(values):
    assembled = assemble("trials", as_files(trials() | {"intervals": values}))
    assert reasons(assembled) == {("_ibl_trials.intervals.npy", "unequal_length", "intervals")}


def test_text_in_a_column_of_numbers_is_refused():
    assembled = assemble("trials", as_files(trials() | {"choice": np.array(["left"] * N)}))
    assert assembled.refused == {"choice": "value_range"}


class Bomb:
    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("extension", ["npy", "pqt", "yaml", "json"])
def test_nothing_is_executed(tmp_path, extension):
    bomb = Bomb()
    bomb.path = str(tmp_path / "executed")
    contents = {
        "npy": npy_of_objects(bomb),
        "pqt": pickle.dumps(bomb),
        "yaml": f'a: !!python/object/apply:builtins.open ["{bomb.path}", "w"]'.encode(),
        "json": pickle.dumps(bomb),
    }
    with pytest.raises(InvalidData) as error:
        load(contents[extension], f"a.b.{extension}")
    assert error.value.reason == ("object_array" if extension == "npy" else "unreadable_file")
    assert not (tmp_path / "executed").exists()


def npy_of_objects(thing) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([thing], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_a_pickle_called_npy_is_an_object_array():
    with pytest.raises(InvalidData, match="pickle") as error:
        load(pickle.dumps([1, 2]), "a.b.npy")
    assert error.value.reason == "object_array"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_cut_or_garbled_file_is_refused_or_read_but_never_breaks_the_reader(data):
    extension, content = data.draw(
        st.sampled_from(
            [("npy", npy(np.arange(9.0))), ("pqt", pqt({"a": [1, 2, 3]})), ("json", json.dumps({"a": [1]}).encode()),
             ("jsonable", b'{"a": 1}\n{"a": 2}\n'), ("csv", b"a,b\n1,2\n3,4\n"), ("yaml", b"a: [1, 2]\nb: {c: d}\n")]
        )
    )  # fmt: skip
    garbled = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if garbled:
            garbled[data.draw(st.integers(0, len(garbled) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(garbled), f"a.b.{extension}")
    except InvalidData as error:
        assert error.reason in ("truncated", "empty_file", "object_array", "unreadable_file", "duplicate_column")


@pytest.mark.parametrize("cut", [0, 4, 9, 50, 128, 150])
def test_a_file_that_stops_early_says_so(cut):
    with pytest.raises(InvalidData) as error:
        load(npy(np.arange(9.0))[:cut], "a.b.npy")
    assert error.value.reason == ("truncated" if cut else "empty_file")


@given(st.sampled_from(["<f8", ">f4", "<i2", "|u1", "|b1", "<U3", "<c8"]), st.booleans())
def test_arrays_are_read_as_numpy_reads_them(dtype, fortran):
    values = np.asarray(np.arange(12).reshape(3, 4).astype(dtype), order="F" if fortran else "C")
    result = load(npy(values), "a.b.npy")
    np.testing.assert_array_equal(result, values)
    assert result.dtype == values.dtype
