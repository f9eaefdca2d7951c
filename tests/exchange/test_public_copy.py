"""A public copy holds what is public and nothing else, whatever came before; nothing that leaves holds what may not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import pipeline
from exchange.public_copy import apply
from ingest import register
from one_bridge import dataset_admin, query
from pipeline import worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.errors import ConflictError, NotFoundError
from pipeline.policy import columns
from pipeline.schemas import behavior, lab, publication, subject
from tests.exchange.releases import lab as small

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

UNLIKE = {"dataset_online", "verified", "registered", "modified_ns", "repository_root"}


def content() -> dict[str, list[tuple]]:
    """All rows of the tables that may leave, and of the trials computed from the files."""
    ordered = {}
    for label in (*columns.TABLES, "data.FileRecord", "behavior.TrialSet", "behavior.TrialSet.Trial"):
        schema, *path = label.split(".")
        table = getattr(pipeline, schema)
        for part in path:
            table = getattr(table, part)
        names = [name for name in table().heading.names if name not in UNLIKE]
        rows = fetch_columns(table, *names)
        ordered[label] = sorted(map(repr, rows.to_pylist()))
    return ordered


@pytest.fixture
def other(database, tmp_path):
    """Publishes to a prefix of its own, which is dropped at the end."""
    prefixes = []

    def publish(root: Path, prefix: str = "pub_"):
        if prefix not in prefixes:
            prefixes.append(prefix)
        return apply.publish_to(small_tag, root, prefix=prefix)

    small_tag = "paper"
    yield publish
    connection = pipeline.connect(create=False)
    is_mysql = connection.adapter.backend == "mysql"
    if is_mysql:  # where a schema goes with its tables, unless those of another one refer to them
        connection.query("SET FOREIGN_KEY_CHECKS = 0")
    for prefix in prefixes:
        for name in registry.SCHEMAS:
            named = connection.adapter.quote_identifier(f"{prefix}{name}")
            connection.query(f"DROP SCHEMA IF EXISTS {named} {'' if is_mysql else 'CASCADE'}")
    if is_mysql:
        connection.query("SET FOREIGN_KEY_CHECKS = 1")


def tables_of(prefix: str) -> dict[str, list[tuple]]:
    with apply.other_database(prefix=prefix):
        worker.drain([behavior.TrialSet])
        return content()


def test_after_additions_changes_and_removals_it_equals_a_fresh_copy(other, tmp_path):
    root = tmp_path / "data"
    small.build(root)
    dataset_admin.define_tag("paper", public=True)
    insert_many(lab.LabMember, {"user_name": ["mia"]})
    subject.Subject.update1({"lab": "mylab", "subject": "m1", "responsible_user": "mia", "cage": "C7"})
    first = other(tmp_path / "copy")
    assert first.added["acquisition.Session"] == 3 and first.files == first.added["data.Dataset"]
    before = tables_of("pub_")
    assert len(before["behavior.TrialSet"]) == 3
    assert not re.search(r"\bm1\b", str(before["subject.Subject"]))  # as a word: a pseudonym may hold the letters
    assert not re.search(r"\b(mia|C7)\b", str(before))
    again = other(tmp_path / "copy")
    assert not again.added and not again.removed and not again.files

    choice = root / small.SESSIONS[1] / "alf" / "_ibl_trials.choice.npy"
    np.save(choice, np.array([-1, -1, -1, 1, -1, 0]))
    os.utime(choice, (1, 1))
    new = root / "mylab/Subjects/m3/2020-03-01/001/alf"
    new.mkdir(parents=True)
    np.save(new / "wheel.position.npy", np.arange(5.0))
    register(root, processes=1)
    dataset_admin.tag("paper", query.datasets({"subject": "m3"}))
    dataset_admin.untag("paper", query.datasets({"subject": "m2"}))
    publication.Embargo.insert1({"lab": "mylab", "subject": "m2"})
    changed = other(tmp_path / "copy")
    assert changed.files_removed == 8 and changed.files == 2, changed
    other(tmp_path / "fresh", prefix="fresh_")
    assert tables_of("pub_") == tables_of("fresh_")
    paths = [{p.relative_to(item).as_posix() for p in item.rglob("*") if p.is_file()}
             for item in (tmp_path / "copy", tmp_path / "fresh")]  # fmt: skip
    assert paths[0] == paths[1] and not {"m1", "m3"} & {name for item in paths[0] for name in Path(item).parts}
    with pytest.raises(ConflictError, match="other files"):
        other(root)


def test_a_tag_that_is_not_public_is_refused(other, tmp_path):
    dataset_admin.define_tag("paper")
    with pytest.raises(NotFoundError, match="no public tag"):
        other(tmp_path / "copy")
