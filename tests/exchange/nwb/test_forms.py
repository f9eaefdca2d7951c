"""Arrays come back from cells as they were, to the byte."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.nwb import forms

KINDS = st.sampled_from(["<f8", ">f4", "<i8", "|i1", "|b1", "<u4", "<U5"])


@pytest.mark.slow
@given(st.data())
def test_an_npy_file_is_made_again(tmp_path_factory, data) -> None:
    kind = data.draw(KINDS)
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    text = {"alphabet": "abcdef"} if "U" in kind else {}
    values = data.draw(hnp.arrays(kind, shape, elements=hnp.from_dtype(np.dtype(kind), **text)))
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    np.save(path, values)
    header = forms.header_of(path)
    assert header is not None
    form = forms.array_form(header, ["t:c"])
    again = path.with_name("b.npy")
    forms.write_npy(again, *forms.rebuild(form, {"t:c": values}.__getitem__))
    assert again.read_bytes() == path.read_bytes()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60), st.integers(0, 2))
def test_spikes_come_back_in_their_order(spikes: list[tuple[int, int]], before: int) -> None:
    """Also several at one time, and units of another probe before them."""
    times = np.array(sorted(time for time, _ in spikes), float)
    clusters = np.array([unit for _, unit in spikes], int)
    order = np.argsort(clusters, kind="stable")
    counts = np.bincount(clusters, minlength=4) if len(clusters) else np.zeros(4, int)
    other = np.arange(before * 2.0)
    ends = np.cumsum([2] * before + counts.tolist())
    cells = {
        "units:spike_times": np.concatenate([other, times[order]]),
        "units:spike_times_index": ends,
        "units:cluster_id": np.concatenate([np.zeros(before, int), np.arange(4)]),
        "units:spike_row": np.concatenate([np.arange(len(other)), order]),
    }
    rows = [before, before + 4]
    for name, values in (("spike_times", times), ("cluster_id", clusters)):
        form = forms.Form(
            "array", [f"units:{name}"], dtype=values.dtype.str, shape=[len(values)], spikes="units", rows=rows
        )
        assert np.array_equal(forms.rebuild(form, cells.__getitem__)[1], values)


def test_a_form_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no form"):
        forms.Form.loaded('{"kind": "pickle"}')
    with pytest.raises(ValueError, match="no type of numbers"):
        forms.rebuild(forms.Form("array", ["a:b"], dtype="|O", shape=[1]), lambda cell: np.zeros(1))
    with pytest.raises(ValueError, match="2 rows where 3"):
        forms.rebuild(forms.Form("array", ["a:b"], dtype="<f8", shape=[3]), lambda cell: np.zeros(2))


def test_a_header_that_numpy_would_not_write_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    assert forms.header_of(path) is not None
    content = path.read_bytes().replace(b"'fortran_order': False, ", b"'fortran_order':False,  ")
    path.write_bytes(content)
    assert forms.header_of(path) is None
