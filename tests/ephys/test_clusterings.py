"""Registration finds clusterings, checks their files against each other, and chooses a default."""

from __future__ import annotations

import numpy as np

from pipeline import clusterings, ephys
from pipeline.schemas import data
from tests.ephys import trees
from tests.ingest.tree import ingest, rows


def test_one(database, tmp_path):
    trees.write(tmp_path, trees.sorting())
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    print(ephys.Clustering())
    print(ephys.ClusterSet())
    print(ephys.ClusterSet.Cluster())
    pid = ephys.ProbeInsertion.fetch1("pid")
    print(ephys.spikes(pid, clusters=[1, 3], window=(2, 4)))
    print(rows(data.Quarantine, "quarantine_path", "reason"))
