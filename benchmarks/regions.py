"""Claim: what is in a region, of 700 insertions with 600,000 units, is found in under 100 ms.

A laboratory of that size is written with `insert_many` (channels, clusters, places, metrics, a selection of good units,
training statuses). The peer of the same run is what analyses do without a database: `iblatlas`' descendants of the
region and `pandas.isin` on a table of all units that is in memory already (and what reading that table costs).
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PER_MOUSE = 4  # sessions with probes, of which each has two
GOOD = 0.125  # share of units that pass, as in the brain-wide map
STATUSES = ("trained_1b", "ready4ephysrig", "ready4recording")


def main() -> None:
    """Write the tables, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--insertions", type=int, default=700)
    parser.add_argument("--units", type=int, default=600_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--region", default="TH")
    parser.add_argument("--url", help="another database, which must be empty; by default an embedded one of its own")
    parser.add_argument("--explain", action="store_true", help="show how the database answers")
    options = parser.parse_args()
    import pipeline
    from pipeline import settings
    from pipeline.database import embedded

    home = Path(tempfile.mkdtemp(prefix="neurojoint-benchmark-"))
    home.chmod(0o711)
    chosen = {"database_url": options.url} if options.url else {"home": home}
    try:
        with settings.override(**chosen):
            connection = pipeline.connect()
            start = time.perf_counter()
            write(options.insertions, options.units)
            analyse(connection)
            print(f"tables written in {time.perf_counter() - start:.1f} s")
            measure(options.region, options.repeats, options.explain)
    finally:
        if not options.url:
            embedded.stop(home)


def write(n_insertions: int, n_units: int, seed: int = 0) -> None:
    """Write the laboratory: two probes a session, tracks through neighbouring regions, 384 channels each."""
    from pipeline.database.bulk import insert_many
    from pipeline.schemas import (
        acquisition,
        behavior,
        behavior_analysis,
        ephys,
        ephys_analysis,
        histology,
        lab,
        subject,
    )

    rng = np.random.default_rng(seed)

    def put(table: Any, columns: dict[str, Any]) -> None:
        one = table()
        one._allow_insert = True
        insert_many(one, columns)

    n_sessions = (n_insertions + 1) // 2
    n_mice = (n_sessions + PER_MOUSE - 1) // PER_MOUSE
    labs = [f"lab{number:02d}" for number in range(12)]
    put(lab.Lab, {"lab": labs})
    mice = [(labs[number % len(labs)], f"NJ_{number:04d}") for number in range(n_mice)]
    put(subject.Subject, _columns(("lab", "subject"), mice) | {"subject_uuid": [_uuid(rng) for _ in mice]})
    first = datetime.date(2020, 1, 6)
    sessions = [
        (*mice[number // PER_MOUSE], first + datetime.timedelta(number % PER_MOUSE), 1) for number in range(n_sessions)
    ]
    of_session = _columns(("lab", "subject", "session_date", "session_number"), sessions)
    put(acquisition.Session, of_session | {"eid": [_uuid(rng) for _ in sessions]})
    of_task = of_session | {"task_collection": "alf"}
    put(acquisition.SessionTask, of_task | {"task_number": 0})
    facts = {"trials_fingerprint": "0" * 32, "n_trials": 600, "trials_complete": True}
    lists = {name: [[] for _ in sessions] for name in ("columns_present", "columns_absent", "columns_other")}
    put(behavior.TrialSet, of_task | facts | lists | {"columns_refused": [{} for _ in sessions]})
    rules = {"criteria": "ibl_pipeline_2021", "criteria_version": 1}
    statuses = rng.choice(STATUSES, n_mice)
    course = {"training_fingerprint": "0" * 32, "training_status": statuses, "n_training_sessions": PER_MOUSE}
    course |= {name: [{} for _ in mice] for name in ("first_dates", "days_to_status")}
    put(
        behavior_analysis.SubjectTraining,
        _columns(("lab", "subject"), mice) | rules | course | {"missing_for_next": [[] for _ in mice]},
    )
    of_mouse = np.arange(n_sessions) // PER_MOUSE
    put(behavior_analysis.SessionTrainingStatus, of_task | rules | {"session_status": statuses[of_mouse]})

    insertions = [(*session, f"probe{probe:02d}") for session in sessions for probe in range(2)][:n_insertions]
    of_insertion = _columns((*of_session, "probe_label"), insertions)
    put(ephys.ProbeInsertion, of_insertion | {"pid": [_uuid(rng) for _ in insertions]})
    names = [f"{insertion[-1]}/pykilosort" for insertion in insertions]
    of_clustering = of_insertion | {"clustering": names}
    put(
        ephys.Clustering,
        of_clustering
        | {"sorter": "pykilosort", "clustering_collection": [f"alf/{name}" for name in names]}
        | {"clustering_state": "online", "default_clustering": True, "clustering_fingerprint": "0" * 32}
        | {name: [{} for _ in names] for name in ("clustering_files", "clustering_refused")},
    )
    edges = np.linspace(0, n_units, n_insertions + 1).astype(int)
    counts = np.diff(edges)
    put(
        ephys.ClusterSet,
        of_clustering
        | {"clusters_fingerprint": "0" * 32, "n_clusters": counts, "n_spikes": 1_000_000}
        | {"clusters_present": [[] for _ in names], "clusters_refused": [{} for _ in names]},
    )
    regions, places = _tracks(n_insertions, rng)
    put(
        histology.ChannelLocation,
        of_insertion
        | {"coordinate_system": "IBL-Allen", "locations_fingerprint": "0" * 32, "locations_object": "channels"}
        | {"locations_collection": [f"alf/{name}" for name in names], "n_channels_located": 384}
        | {"n_channels_outside": 0, "n_sides_differ": 0, "regions_refused": [[] for _ in names]}
        | {"locations_refused": [{} for _ in names]},
    )
    put(
        histology.ChannelLocation.Channel,
        _repeated(of_insertion, 384)
        | {"channel": np.tile(np.arange(384), n_insertions), "region_id": regions.ravel()}
        | {f"channel_{name}": places[:, :, i].ravel() for i, name in enumerate(("ml", "ap", "dv"))},
    )
    put(histology.ChannelLocation.Region, _summary(of_insertion, regions, "region_channels"))
    channel = rng.integers(0, 384, n_units)
    row = np.repeat(np.arange(n_insertions), counts)
    of_unit = _repeated(of_clustering, counts) | {"cluster_id": np.arange(n_units) - np.repeat(edges[:-1], counts)}
    put(ephys.ClusterSet.Cluster, of_unit | {"cluster_channel": channel, "cluster_n_spikes": 1000})
    put(
        histology.ClusterLocation,
        of_clustering | {"n_clusters_located": counts, "n_clusters_without_channel": 0},
    )
    own = regions[row, channel]
    put(
        histology.ClusterLocation.Cluster,
        of_unit
        | {"region_id": own, "cluster_hemisphere": "left"}
        | {f"cluster_{name}": places[row, channel, i] for i, name in enumerate(("ml", "ap", "dv"))},
    )
    split = np.split(own, edges[1:-1])
    put(histology.ClusterLocation.Region, _summary(of_clustering, split, "region_clusters"))
    put(ephys_analysis.UnitMetrics, of_clustering | {"metrics_with_amps": True, "metrics_with_depths": True})
    put(ephys_analysis.UnitMetrics.Unit, of_unit | {"unit_n_spikes": 1000, "firing_rate": rng.exponential(4, n_units)})
    chosen = rng.random(n_units) < GOOD
    criteria = {"unit_criteria": "ibl", "unit_criteria_version": 1}
    selected = np.bincount(row[chosen], minlength=n_insertions)
    put(ephys_analysis.UnitSelection, of_clustering | criteria | {"n_selected": selected})
    good = {name: np.asarray(values)[chosen] for name, values in of_unit.items()}
    put(ephys_analysis.UnitSelection.Unit, good | criteria)


def _tracks(n_insertions: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Region of each channel (n, 384), and place (n, 384, 3); a probe goes through neighbours in three divisions."""
    from pipeline import atlas

    tree = atlas.regions()
    is_leaf = ~np.isin(tree.ids, tree.parents) & np.isin(tree.ids, atlas.region_ids("grey"))
    divisions = [np.flatnonzero(is_leaf & (tree.cosmos == item)) for item in np.unique(tree.cosmos[is_leaf])]
    divisions = [tree.ids[rows] for rows in divisions if len(rows) > 5]
    regions = np.empty((n_insertions, 384), np.int64)
    for region in regions:
        chosen = rng.choice(len(divisions), 3, replace=False)
        starts = [rng.integers(0, len(divisions[number]) - 5) for number in chosen]
        way = np.concatenate([divisions[n][start : start + 5] for n, start in zip(chosen, starts, strict=True)])
        ends = np.sort(rng.integers(1, 384, len(way) - 1))
        region[:] = way[np.searchsorted(ends, np.arange(384), side="right")]
    places = rng.uniform(-4000, 0, (n_insertions, 384, 3)).round(1)
    return regions, places


def _columns(names: tuple[str, ...], rows: list[tuple]) -> dict[str, list]:
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def _repeated(columns: dict[str, list], counts: Any) -> dict[str, np.ndarray]:
    return {name: np.repeat(np.array(values, object), counts) for name, values in columns.items()}


def _summary(keys: dict[str, list], regions: Any, name: str) -> dict[str, Any]:
    counted = [np.unique(region, return_counts=True) for region in regions]
    of_region = {"region_id": np.concatenate([ids for ids, _ in counted])}
    return (
        _repeated(keys, [len(ids) for ids, _ in counted]) | of_region | {name: np.concatenate([n for _, n in counted])}
    )


def _uuid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def analyse(connection: Any) -> None:
    """Let the database count its rows, as it does by itself after a while."""
    if connection.adapter.backend == "postgresql":
        connection.query("ANALYZE")
    else:
        from pipeline.database import registry

        for table in registry.tables():
            for part in (table, *registry.parts(table)):
                connection.query(f"ANALYZE TABLE {part().full_table_name}")


def measure(region: str, repeats: int, explain: bool) -> None:
    """Time both, in turns, and print medians; first see that they agree."""
    import pandas as pd
    from iblatlas.regions import BrainRegions

    from pipeline.queries import search
    from pipeline.schemas import histology

    units = search.find_units().to_pandas()
    good = search.find_units(good=True).to_pandas().assign(good=True)
    key = ["lab", "subject", "session_date", "session_number", "probe_label", "clustering", "cluster_id"]
    units = units.merge(good[[*key, "good"]], how="left", on=key).assign(good=lambda rows: rows["good"].notna())
    status = search.find_units(status="trained_1b").to_pandas()[["eid"]].drop_duplicates().assign(fits=True)
    units = units.merge(status, how="left", on="eid").assign(fits=lambda rows: rows["fits"].notna())
    tree = BrainRegions()
    print(f"{len(units):,} units of {units['pid'].nunique():,} insertions, {units['good'].sum():,} of them good")

    def peer(only_good: bool) -> pd.DataFrame:
        ids = tree.descendants(tree.acronym2id(region)).id
        rows = units[units["region_id"].isin(ids)]
        if only_good:
            rows = rows[rows["good"] & rows["fits"]]
            rows = rows[rows.groupby("pid")["pid"].transform("size") >= 10]
        return rows

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "units.pqt"
        units.to_parquet(path)
        cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            f"units in {region}": (lambda: search.find_units(region), lambda: peer(False)),
            f"good units in {region}, 10 or more, trained_1b": (
                lambda: search.find_units(region, True, 10, "trained_1b"),
                lambda: peer(True),
            ),
            f"insertions in {region}": (
                lambda: search.find_insertions(region, min_units=1),
                lambda: peer(False)["pid"].unique(),
            ),
        }
        reading = statistics.median(_seconds(lambda: pd.read_parquet(path)) for _ in range(3))
        slowest = 0.0
        for name, (own, other) in cases.items():
            n_own, n_other = len(own()), len(other())
            if n_own != n_other:
                sys.exit(f"{name}: {n_own:,} rows here, {n_other:,} there")
            pairs = [(_seconds(own), _seconds(other)) for _ in range(repeats)]
            here, there = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
            slowest = max(slowest, here)
            print(f"{name}: {n_own:,} rows (medians of {repeats}, in turns)")
            print(f"  neurojoint, from the database           {here:7.1f} ms (claimed: under 100)")
            print(f"  iblatlas + pandas, units in memory      {there:7.1f} ms")
            print(f"  the same after reading them (Parquet)   {there + 1e3 * reading:7.1f} ms")
            print(f"  ratio to the last                       {(there + 1e3 * reading) / here:7.1f}")
    print(f"slowest {slowest:.1f} ms: {'as claimed' if slowest < 100 else 'NOT as claimed'}")
    if explain:
        _explain(region, histology)


def _explain(region: str, histology: Any) -> None:
    """How the database finds the units: by the index of their regions."""
    from pipeline import atlas

    ids = ", ".join(map(str, atlas.region_ids(region)))
    query = histology.ClusterLocation.Cluster & f"region_id IN ({ids})"
    verb = "EXPLAIN (ANALYZE, BUFFERS)" if query.connection.adapter.backend == "postgresql" else "EXPLAIN"
    for row in query.connection.query(f"{verb} {query.make_sql()}").fetchall():
        print("  ".join(str(part) for part in row)[:160])


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
