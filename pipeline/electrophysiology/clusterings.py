"""Which clustering of an insertion is meant: the one that is named, the one a person chose, else that of the rules."""

from __future__ import annotations

import getpass
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology.reading import Reading
from pipeline.errors import NotFoundError

ephys = registry.tables_of("ephys")

WITHOUT_SORTER = 1000
"""Rank of files that lie in the folder of the probe itself: after all sorters that are named."""

JSON = ("clustering_files", "clustering_refused", "clustering_reading")
"""Columns of ephys.Clustering that hold JSON."""

_STATES = ("online", "refused", "missing")


def insertion_key(insertion: str | Mapping[str, Any]) -> dict[str, Any]:
    """The primary key of an insertion that is given by its pid or by a mapping that holds the key.

    Raises
    ------
    NeurojointError : no such insertion.
    """
    if not isinstance(insertion, str):
        return {name: insertion[name] for name in ephys.ProbeInsertion.primary_key}
    keys = (ephys.ProbeInsertion & {"pid": insertion}).keys()
    if not keys:
        raise NotFoundError(f"there is no insertion {insertion}", "`neurojoint clusterings` lists what there is")
    return keys[0]


def find(insertion: str | Mapping[str, Any], clustering: str | None = None) -> dict[str, Any]:
    """The row of ephys.Clustering that is meant.

    Parameters
    ----------
    insertion : pid, or a mapping that holds the primary key of the insertion; where it holds `clustering`, too, that
        one is meant.
    clustering : its name, e.g. `probe00/pykilosort/#2024-05-06#`; by default the default of the insertion.

    Raises
    ------
    NeurojointError : no such insertion or clustering; the message names those that there are.
    """
    key = insertion_key(insertion)
    query = ephys.Clustering & key
    if not isinstance(insertion, str):
        clustering = clustering or insertion.get("clustering")
    chosen = {"default_clustering": True} if clustering is None else {"clustering": clustering}
    rows = (query & chosen).to_dicts()
    if rows:
        return rows[0] | {name: parsed(rows[0][name]) for name in JSON}
    names = sorted(query.to_arrays("clustering"))
    if names:
        wanted = clustering or "whose files are here"
        raise NotFoundError(f"the insertion has no clustering {wanted}", f"it has {', '.join(names)}")
    named = insertion if isinstance(insertion, str) else "/".join(str(part) for part in key.values())
    raise NotFoundError(f"there are no sorted spikes of {named}", "`neurojoint clusterings` lists what there is")


def choose(insertion: str | Mapping[str, Any], clustering: str | None) -> str | None:
    """Make a clustering the default of its insertion, whatever the rules say; None lets the rules choose again.

    Returns
    -------
    The name of the clustering that is the default now.

    Raises
    ------
    NeurojointError : no such insertion or clustering.
    """
    named = find(insertion, clustering)
    key = {name: named[name] for name in ephys.ProbeInsertion.primary_key}
    with ephys.Clustering().connection.transaction:
        (ephys.DefaultClustering & key).delete_quick()
        if clustering is not None:
            user = getpass.getuser()[:64]
            ephys.DefaultClustering.insert1(key | {"chosen_clustering": clustering, "chosen_by": user})
        rows = (ephys.Clustering & key).to_dicts()
        before = {row["clustering"]: row["default_clustering"] for row in rows}
        mark_defaults(rows)
        for row in rows:
            if before[row["clustering"]] != row["default_clustering"]:
                names = [*ephys.Clustering.primary_key, "default_clustering"]
                ephys.Clustering.update1({name: row[name] for name in names})
    return next((row["clustering"] for row in rows if row["default_clustering"]), None)


def overview(pid: str | None = None) -> list[dict[str, Any]]:
    """The clusterings of an insertion, or of all, with `pid`, and the numbers of units and spikes where known.

    Raises
    ------
    NeurojointError : no such insertion.
    """
    insertions = ephys.ProbeInsertion & ({} if pid is None else insertion_key(pid))
    numbers = ephys.ClusterSet.proj("n_clusters", "n_spikes")
    query = (ephys.Clustering * insertions.proj("pid")).extend(numbers)
    names = ("pid", "clustering_state", "default_clustering", "n_clusters", "n_spikes")
    order = ", ".join(ephys.Clustering.primary_key)
    return fetch_columns(query, *ephys.Clustering.primary_key, *names, order_by=order).to_pylist()


def mark_defaults(rows: list[dict[str, Any]]) -> None:
    """Set `default_clustering` in all rows of some insertions.

    What a person chose goes first (ephys.DefaultClustering); then what can be read, the sorter with the lowest rank
    (ephys.Sorter), the latest revision, the first by name. A clustering whose files are gone is never the default.
    """
    insertion = ephys.ProbeInsertion.primary_key
    ranks = dict(zip(*ephys.Sorter.to_arrays("sorter", "sorter_rank"), strict=True)) | {None: WITHOUT_SORTER}
    groups: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        row["default_clustering"] = False
        if row["clustering_state"] != "missing":
            groups[tuple(str(row[name]) for name in insertion)].append(row)
    if not groups:
        return
    keys = [{name: row[name] for name in insertion} for row in (group[0] for group in groups.values())]
    chosen = fetch_columns(ephys.DefaultClustering & keys, *insertion, "chosen_clustering").to_pylist()
    by_insertion = {tuple(str(row[name]) for name in insertion): row["chosen_clustering"] for row in chosen}
    for key, group in groups.items():
        group.sort(key=lambda row: row["clustering"])
        group.sort(key=lambda row: row["clustering_revision"], reverse=True)
        group.sort(
            key=lambda row: (
                row["clustering"] != by_insertion.get(key),
                _STATES.index(row["clustering_state"]),
                ranks.get(row["sorter"], 100),
            )
        )
        group[0]["default_clustering"] = True


def why_absent(row: Mapping[str, Any], name: str) -> str:
    """Why a clustering has no such file, in words.

    >>> why_absent({"clustering_refused": {"spikes.amps": "value_range"}}, "spikes.amps")
    'spikes.amps is in quarantine (value_range)'
    >>> why_absent({"clustering_refused": {}}, "spikes.depths")
    'there is no spikes.depths'
    """
    reason = row["clustering_refused"].get(name)
    return f"{name} is in quarantine ({reason})" if reason else f"there is no {name}"


def reading(row: Mapping[str, Any]) -> Reading:
    """How the files of a clustering (a row of ephys.Clustering) are to be read."""
    return Reading.from_dict(parsed(row.get("clustering_reading")))


def parsed(value: Any) -> Any:
    """What a JSON column holds, whether it came as text or not."""
    return json.loads(value) if isinstance(value, str) else value
