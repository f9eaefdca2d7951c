"""The shipped tree of the Allen atlas is that of iblatlas, and the tables hold it, on both databases."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import atlas
from pipeline.database import migrate, registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import histology


@pytest.fixture(scope="module")
def oracle():
    """The regions of iblatlas."""
    from iblatlas.regions import BrainRegions

    return BrainRegions()


def test_every_structure_is_the_one_of_iblatlas(oracle):
    tree, n = atlas.regions(), oracle.n_lr
    assert n == len(tree.ids) == 1327
    rows = slice(1, n + 1)  # the first is the void, behind come those of the left hemisphere
    assert tree.ids.tolist() == oracle.id[rows].tolist()
    assert list(tree.acronyms) == oracle.acronym[rows].tolist()
    assert list(tree.names) == oracle.name[rows].tolist()
    assert list(tree.colors) == oracle.hexcolor[rows].tolist()
    assert tree.depths.tolist() == oracle.level[rows].tolist()
    assert tree.orders.tolist() == oracle.order[rows].tolist()
    assert tree.parents.tolist() == np.nan_to_num(oracle.parent[rows]).tolist()
    assert tree.beryl.tolist() == oracle.id[oracle.mappings["Beryl"]][rows].tolist()
    assert tree.cosmos.tolist() == oracle.id[oracle.mappings["Cosmos"]][rows].tolist()


def test_ancestors_and_descendants_of_every_structure_are_those_of_iblatlas(oracle):
    """The oracle walks its whole tree for each; here that walk is done on plain sets, and checked on some."""
    tree = atlas.regions()
    parent = {one: int(up) for one, up in zip(oracle.id, np.nan_to_num(oracle.parent), strict=True) if one > 0}
    above = {}
    for one in parent:
        chain, at = [], one
        while at:
            chain.append(at)
            at = parent[at]
        above[one] = chain
    within, larger, steps = tree.closure
    collected = {item: [] for item in above}
    for one, other, n_steps in zip(within.tolist(), larger.tolist(), steps.tolist(), strict=True):
        assert n_steps == len(collected[one])
        collected[one].append(other)
    assert collected == above
    for acronym in ("root", "TH", "CTX", "VISp", "VISp6b", "fiber tracts", "retina", "CM", "cm"):
        one = tree.by_acronym[acronym]
        assert tree.descendants([one]).tolist() == sorted(oracle.descendants(one).id, key=tree.index.__getitem__)
        assert tree.ancestors([one]).tolist() == sorted(oracle.ancestors(one).id, key=tree.index.__getitem__)


def test_regions_are_asked_for_by_acronym_or_id_alone_or_together():
    thalamus = atlas.region_ids("TH")
    assert thalamus[0] == 549
    assert 733 in thalamus
    assert atlas.region_ids(549) == atlas.region_ids("549") == thalamus
    assert atlas.region_ids("TH, VPM") == thalamus, "what lies within another is there once"
    assert atlas.region_ids(["VISp", "TH"], descendants=False) == [385, 549]
    assert atlas.region_ids(-733) == [733], "the sign says the hemisphere"


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [("th", "TH"), ("thalamus", "TH"), ("VISpp", "VISp"), ("barrel", "SSp-bfd"), ("", "acronyms"), ("999999", "acron")],
)
def test_unknown_regions_are_refused_with_those_that_are_near(unknown, hint):
    with pytest.raises(NeurojointError, match="the atlas has no region") as error:
        atlas.region_ids(unknown)
    assert hint in error.value.remedy


def test_the_tables_hold_the_tree_and_its_closure(database):
    tree = atlas.regions()
    rows = fetch_columns(histology.BrainRegion, order_by="graph_order")
    assert rows["region_id"].to_pylist() == tree.ids.tolist()
    assert rows["acronym"].to_pylist() == list(tree.acronyms)
    assert [row or 0 for row in rows["parent_region_id"].to_pylist()] == tree.parents.tolist()
    assert rows["beryl_id"].to_pylist() == tree.beryl.tolist()
    pairs = fetch_columns(histology.BrainRegion.Ancestor)
    distinct = set(zip(*(pairs[name].to_pylist() for name in pairs.column_names), strict=True))
    assert distinct == set(zip(*(item.tolist() for item in tree.closure), strict=True))
    below = (histology.BrainRegion.Ancestor & {"ancestor_id": 549}).to_arrays("region_id")
    assert set(below) == set(atlas.region_ids("TH"))


def test_acronyms_that_differ_by_case_are_two_structures_in_the_tables(database):
    collected = {
        name: (histology.BrainRegion & {"acronym": name}).fetch1("region_id") for name in ("CM", "cm", "IPF", "ipf")
    }
    assert collected == {"CM": 599, "cm": 967, "IPF": 624, "ipf": 49}


def test_a_new_version_of_the_tree_replaces_the_rows_and_is_declared_once(database, monkeypatch):
    """Filling again changes nothing; another version makes the next connection fill again."""
    histology.BrainRegion.update1({"region_id": 549, "region_name": "an old name"})
    before = migrate.definitions_hash()
    monkeypatch.setattr(histology.BrainRegion, "constant", "another version")
    assert migrate.definitions_hash() != before
    registry.fill_constants()
    assert (histology.BrainRegion & {"region_id": 549}).fetch1("region_name") == "Thalamus"
    assert len(histology.BrainRegion()) == 1327
    assert len(histology.BrainRegion.Ancestor()) == 9964
