"""Tables that are declared in few statements are the same to the last comment, and what fails leaves nothing behind."""

from __future__ import annotations

import contextlib

import datajoint as dj
import pytest

from pipeline.database.declaring import Comments, in_few_statements


def test_comments_go_together_before_the_next_statement():
    sent = []
    comments = Comments(sent.append)
    taken = [comments.take(text) for text in ("CREATE TABLE a", "COMMENT ON a", "COMMENT ON b", "SELECT 1", "SELECT 2")]
    assert taken == [False, True, True, False, False]
    assert sent == ["COMMENT ON a;\nCOMMENT ON b"]


def _declared(database, name: str, way) -> tuple[list, int]:
    """Declare two tables; what the database says of them, and how many statements it took."""
    schema = dj.Schema(name, connection=database)
    try:
        before = database.n_statements
        with way:

            @schema
            class Animal(dj.Manual):
                definition = """
                # what has a name; 'all' of them
                animal : varchar(8)   # its name; it's short
                litter : int32        # number
                """

            @schema
            class Weight(dj.Manual):
                definition = """
                -> Animal
                day      : date       # of the scales
                ---
                weight   : float64    # g
                """

        took = database.n_statements - before
        said = [
            (table.heading.table_status["comment"], table.heading.lineage_available, column, info.type, info.comment,
             (info.lineage or "").replace(name, "schema"))
            for table in (Animal(), Weight()) for column, info in table.heading.attributes.items()
        ]  # fmt: skip
        return said, took
    finally:
        schema.drop(prompt=False)


def test_what_is_declared_is_the_same(database):
    plain, many = _declared(database, "neurojoint_x_plain", contextlib.nullcontext())
    quick, few = _declared(database, "neurojoint_x_quick", in_few_statements(database))
    assert plain == quick
    assert few < many if database.adapter.backend == "postgresql" else few <= many
    assert any(column == "animal" and comment == "its name; it's short" for _, _, column, _, comment, _ in quick)


@pytest.mark.one_database
def test_after_a_failure_statements_are_sent_one_by_one(database):
    with contextlib.suppress(ZeroDivisionError), in_few_statements(database):
        raise ZeroDivisionError
    assert getattr(database, "comments", None) is None
