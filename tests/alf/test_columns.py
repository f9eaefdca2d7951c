"""Protects the parsing of ALF names against disagreeing with `one.alf`, and against names made to stall it."""

from hypothesis import example, given
from hypothesis import strategies as st
from one.alf import spec

from pipeline.alf import columns

REAL = [
    "_ibl_trials.goCue_times_bpod.csv", "channels.brainLocationIds_ccf_2017.npy", "obj.stim_on_times.npy",
    "_phy_spikes_subset.channels.npy", "_spikeglx_ephysData_g0_t0.imec0.ap.cbin", "spike_train.npy", "obj.attr",
    ".obj.attr.npy", "obj-x.a.npy", "obj.at-tr.npy", "obj.attr_x.tar.gz", "channels._phy_ids.csv", "trials choice.npy",
    "spikes.times.2622b17c-9408-4910-99cb-abf16d9225b9.npy", "_ibl_experiment.description.yaml", "a.b.npy\n",
]  # fmt: skip


@given(st.one_of(st.sampled_from(REAL), st.text("ab_.-#1 é\n", max_size=16)))
@example("obj.attr.a..b.npy")
def test_a_name_is_alf_where_one_says_so(name):
    theirs = spec.is_valid(name) and not name.endswith("\n")
    assert (columns.parse_name(name) is not None) == theirs


def test_names_that_stall_the_pattern_of_one_alf_are_refused_at_once():
    for name in ("obj.attr" + ".a" * 110 + "-", "obj.attr" + ".a" * 110 + " ", "o.a" + "." * 200 + "-"):
        assert columns.parse_name(name) is None


def test_a_uuid_in_the_name_is_taken_out_of_the_dataset():
    uuid = "2622b17c-9408-4910-99cb-abf16d9225b9"
    name = columns.parse_name(f"_spikeglx_ephysData.raw.ap.{uuid}.cbin")
    assert (name.uuid, name.extension, name.dataset) == (uuid, "ap.cbin", "_spikeglx_ephysData.raw.ap.cbin")


def test_a_revision_is_the_last_folder_or_none():
    assert columns.parse_folder("alf/#2024-01-01#") == ("alf", "2024-01-01")
    assert columns.parse_folder("#r1#") == ("", "r1")
    assert columns.parse_folder("alf/#r1#/probe00") is None
    assert columns.parse_folder("my data") is None


def test_each_column_is_found_by_the_attribute_that_fills_it():
    for alf_object in ("trials", "wheel", "licks", "leftCamera"):
        for column in columns.columns_of(alf_object):
            assert column in columns.columns_by_attribute(alf_object)[column.attribute]
