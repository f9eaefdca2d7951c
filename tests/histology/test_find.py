"""What `neurojoint find` finds is what iblatlas and pandas find in all units, on both databases."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import regions as laboratory
from neurojoint.cli import main
from pipeline import atlas
from pipeline.errors import NeurojointError
from pipeline.queries import search as find
from pipeline.schemas import acquisition, behavior_analysis, ephys, ephys_analysis, histology
from tests.conftest import empty_tables

pytestmark = pytest.mark.slow

KEY = ["lab", "subject", "session_date", "session_number", "probe_label", "clustering", "cluster_id"]


@pytest.fixture(scope="module")
def oracle():
    from iblatlas.regions import BrainRegions

    return BrainRegions()


@pytest.fixture
def units(database) -> pd.DataFrame:
    """All units of a small laboratory, as the tables hold them, without any search."""
    laboratory.write(40, 3000)
    rows = pd.DataFrame(histology.ClusterLocation.Cluster.to_dicts())
    good = pd.DataFrame((ephys_analysis.UnitSelection.Unit & {"unit_criteria": "ibl"}).keys()).assign(good=True)
    status = pd.DataFrame(behavior_analysis.SessionTrainingStatus.to_dicts())[[*KEY[:4], "session_status"]]
    rows = rows.merge(good[[*KEY, "good"]], how="left", on=KEY).merge(status, on=KEY[:4])
    return rows.assign(good=rows["good"].notna()).sort_values(KEY, ignore_index=True)


def keys(rows) -> list[tuple]:
    rows = rows if isinstance(rows, pd.DataFrame) else rows.to_pandas()
    return list(rows[KEY].itertuples(index=False, name=None))


def test_units_of_a_region_are_those_of_all_within_it(units, oracle):
    for region in ("TH", "CTX", "CA1", "grey"):
        ids = oracle.descendants(oracle.acronym2id(region)).id
        expected = units[units["region_id"].isin(ids)]
        assert len(expected) > 5
        result = find.find_units(region)
        assert keys(result) == keys(expected)
        assert result["region_id"].to_pylist() == expected["region_id"].tolist()
        assert result["acronym"].to_pylist() == [
            oracle.acronym[oracle.id == region_id][0] for region_id in expected["region_id"]
        ]
        assert result["cluster_ap"].to_pylist() == expected["cluster_ap"].tolist()
        first = (ephys.ProbeInsertion * acquisition.Session.proj("eid") & result.slice(0, 1).to_pylist()[0]).fetch1()
        assert (result["pid"][0].as_py(), result["eid"][0].as_py()) == (first["pid"], first["eid"])


def test_good_units_of_trained_mice_in_insertions_with_enough_of_them(units):
    """All conditions at once; the least number is of the units that fit the others."""
    fits = units["region_id"].isin(atlas.region_ids("CTX")) & units["good"] & (units["session_status"] == "trained_1b")
    rows = units[fits]
    sizes = rows.groupby(KEY[:5])["cluster_id"].transform("size")
    least = int(sizes.median())
    expected = rows[sizes >= least]
    assert 0 < len(expected) < len(rows)
    assert keys(find.find_units("CTX", True, least, "trained_1b")) == keys(expected)
    insertions = find.find_insertions("CTX", True, least, "trained_1b")
    counted = expected.groupby(KEY[:5]).size()
    assert insertions["n_units"].to_pylist() == counted.tolist()
    assert [tuple(row.values()) for row in insertions.select(KEY[:5]).to_pylist()] == counted.index.tolist()


def test_a_status_with_plus_is_that_or_a_higher_one(units):
    collected = {
        item: find.find_units(status=item).num_rows for item in ("ready4ephysrig", "ready4ephysrig+", "trained_1a+")
    }
    assert collected["ready4ephysrig"] == (units["session_status"] == "ready4ephysrig").sum()
    assert collected["ready4ephysrig+"] == (units["session_status"] != "trained_1b").sum()
    assert collected["trained_1a+"] == len(units)
    assert find.find_units(status="trained_1b,ready4ephysrig+").num_rows == len(units)


def test_labs_subjects_dates_and_hemispheres_restrict(units):
    one = units["subject"].iloc[0]
    assert keys(find.find_units(subject=one)) == keys(units[units["subject"] == one])
    labs = sorted(units["lab"].unique())[:2]
    assert keys(find.find_units(lab=labs)) == keys(find.find_units(lab=",".join(labs)))
    assert keys(find.find_units(lab=labs)) == keys(units[units["lab"].isin(labs)])
    days = sorted(units["session_date"].unique())
    expected = units[(units["session_date"] >= days[1]) & (units["session_date"] <= days[2])]
    assert keys(find.find_units(since=days[1], until=str(days[2]))) == keys(expected)
    assert find.find_units("grey", hemisphere="left").num_rows == find.find_units("grey").num_rows
    assert find.find_units(hemisphere="right").num_rows == 0


def test_units_without_a_place_are_anywhere_but_in_no_region(units):
    insertion = units[KEY[:5]].iloc[0].to_dict()
    (histology.ClusterLocation & insertion).delete(prompt=False)
    assert find.find_units().num_rows == len(units)
    there = keys(find.find_units("root"))
    assert len(there) == len(units) - (units[KEY[:5]] == pd.Series(insertion)).all(axis=1).sum()
    insertions = find.find_insertions("root")
    assert insertions.num_rows == 40, "its channels are still in the brain"
    assert sum(insertions["n_units"].to_pylist()) == len(there)


def test_only_default_clusterings_count(units):
    chosen = units[KEY[:6]].iloc[0].to_dict()
    ephys.Clustering.update1(chosen | {"default_clustering": False})
    left = units[~(units[KEY[:5]] == pd.Series({name: chosen[name] for name in KEY[:5]})).all(axis=1)]
    assert keys(find.find_units("root")) == keys(left)
    assert find.find_units("root", good=True).num_rows == left["good"].sum()
    assert sum(find.find_insertions("root")["n_units"].to_pylist()) == len(left)


def test_insertions_of_a_region_restrict_insertions_and_sessions(units):
    ids = atlas.region_ids("TH")
    channels = pd.DataFrame(histology.ChannelLocation.Channel.to_dicts())
    expected = channels[channels["region_id"].isin(ids)].groupby(KEY[:5]).size()
    assert 0 < len(expected) < 40
    result = ephys.ProbeInsertion & find.insertions_in("TH")
    assert sorted(tuple(item.values()) for item in result.proj()) == expected.index.tolist()
    assert len(acquisition.Session & find.insertions_in("TH")) == len({item[:4] for item in expected.index})
    listed = find.find_insertions("TH")
    assert listed["n_channels"].to_pylist() == expected.tolist()
    assert len(ephys.ProbeInsertion & find.insertions_in([997])) == 40


def test_what_is_not_judged_yet_is_counted(units):
    assert find.unjudged() == find.unjudged("ibl:1") == 0
    assert find.unjudged("basic") == 40
    assert find.find_units(criteria="basic").num_rows == 0
    (ephys_analysis.UnitSelection & units[KEY[:5]].iloc[0].to_dict()).delete(prompt=False)
    assert find.unjudged() == 1


def test_an_empty_database_has_nothing_and_says_so_in_the_same_columns(database):
    names = find.find_units("TH", True, 10, "trained_1b").column_names
    assert names[:7] == KEY and find.find_units().num_rows == 0
    assert find.find_units().column_names == names
    assert find.find_insertions("TH").num_rows == find.find_insertions(good=True).num_rows == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"region": "th"}, "did you mean TH"),
        ({"status": "trained"}, "choose from trained_1b"),
        ({"status": "untrainable+"}, "no status"),
        ({"status": "trained_1b", "rules": "mine"}, "choose from ibl_pipeline_2021:1, ibllib_4:1"),
        ({"criteria": "best"}, "choose from basic:1, ibl:1"),
        ({"criteria": "ibl:9"}, "choose from basic:1, ibl:1"),
        ({"hemisphere": "up"}, "left or right"),
        ({"since": "yesterday"}, "2024-01-31"),
    ],
)
def test_what_is_not_known_is_refused_with_what_there_is(database, asked, said):
    with pytest.raises(NeurojointError) as error:
        find.find_units(**asked)
    assert said in str(error.value)


def test_the_latest_version_of_criteria_is_meant_where_none_is_named(units):
    rules = {"unit_criteria": "ibl", "unit_rules": [{"metric": "firing_rate", "op": ">", "value": 1.0}]}
    ephys_analysis.UnitCriteria.insert1(rules | {"unit_criteria_version": 2, "unit_criteria_description": "other"})
    assert find.find_units(good=True).num_rows == 0
    assert find.find_units(criteria="ibl:1").num_rows == units["good"].sum()
    empty_tables(ephys.ProbeInsertion().connection)


def test_the_command_prints_sessions_and_units(units):
    run = CliRunner().invoke
    asked = ["--region", "CTX", "--good", "--min", "3", "--status", "trained_1b"]
    expected = find.find_units("CTX", True, 3, "trained_1b")
    shown = run(main, ["find", "units", *asked], catch_exceptions=False)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    insertions = expected.group_by(["pid"]).aggregate([([], "count_all")]).to_pylist()
    assert len(lines) == 2 * len(insertions)
    numbers = {line.split()[0]: int(line.split()[3]) for line in lines[::2]}
    assert numbers == {insertion["pid"]: insertion["count_all"] for insertion in insertions}
    assert f"{expected.num_rows:,} good units of {len(insertions)} insertions" in shown.stderr
    result = json.loads(run(main, ["find", "units", *asked, "--json"]).stdout)
    assert [item["cluster_id"] for item in result] == expected["cluster_id"].to_pylist()
    result = list(csv.DictReader(io.StringIO(run(main, ["find", "units", *asked, "--csv"]).stdout)))
    assert [item["acronym"] for item in result] == expected["acronym"].to_pylist()
    shown = run(main, ["find", "insertions", "--region", "CTX"])
    assert len(shown.stdout.splitlines()) == find.find_insertions("CTX").num_rows
    shown = run(main, ["find", "units", "--criteria", "basic"])
    assert shown.stdout == "" and "40 clusterings not judged" in shown.stderr
    shown = run(main, ["find", "units", "--region", "Th"])
    assert shown.exit_code == 1 and "did you mean TH" in shown.stderr


def test_runs_of_numbers_are_shown_short():
    from neurojoint.cli.cmd_find import _short

    rng = np.random.default_rng(0)
    ids = np.flatnonzero(rng.random(200) < 0.7).tolist()
    parts = [[int(end) for end in item.split("-")] for item in _short(ids).split()]
    assert [n for part in parts for n in range(part[0], part[-1] + 1)] == ids
