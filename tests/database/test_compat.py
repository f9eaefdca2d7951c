"""Each patch of DataJoint is still needed: a test fails here once upstream has mended what the patch mends."""

from __future__ import annotations

import datetime
import json
import os
import pickle
import subprocess
import sys

import datajoint as dj
import numpy as np
import pytest
from datajoint import blob
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline import lab
from pipeline.database import compat
from pipeline.errors import AmbiguousError

pytestmark = pytest.mark.slow


def without_patches(statement: str) -> str:
    """What a fresh Python with unpatched DataJoint prints."""
    code = f"import os; os.environ['DJ_IGNORE_CONFIG_FILE'] = 'true'; import datajoint as dj; {statement}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_headings_still_rebuild_their_attributes_at_each_access(database):
    """Patched, the same dictionary is returned; once DataJoint does so itself, delete the patch."""
    heading = lab.Lab().heading
    assert heading.attributes is heading.attributes
    make = "h = dj.heading.Heading([dict(dj.heading.default_attribute_properties, name='a', type='int')])"
    assert without_patches(f"{make}; print(h.attributes is h.attributes)") == "False"


def test_names_of_tables_are_still_made_at_each_access(database):
    """Patched, the name of a class is converted once."""
    source = "from datajoint import user_tables; print(hasattr(user_tables.from_camel_case, 'cache_info'))"
    assert without_patches(source) == "False"
    assert lab.Lab.table_name == "lab"
    assert hasattr(dj.user_tables.from_camel_case, "cache_info")


def test_rows_are_still_decoded_value_by_value(database):
    """Patched, `to_dicts` gives the same rows; unpatched, its source looks the decoder up within the row."""
    lab.Lab.insert([{"lab": "a", "address": "x"}, {"lab": "b", "address": "y"}])
    rows = lab.Lab.to_dicts(order_by="lab DESC", limit=1)
    assert [(row["lab"], row["address"], row["reference_weight_pct"]) for row in rows] == [("b", "y", 0.85)]
    assert [row["lab"] for row in lab.Lab()] == ["a", "b"]
    source = "import inspect; print('decode_attribute' in inspect.getsource(dj.expression.QueryExpression.to_dicts))"
    assert without_patches(source) == "True"


def test_names_of_types_are_still_resolved_for_each_value(database):
    """Patched, the same codecs are found without a search; a caller may change the list that it gets."""
    from datajoint import codecs

    first, second = (codecs.resolve_dtype("<blob>") for _ in range(2))
    assert first[1] == second[1] and first[1][0] is second[1][0] and first[1] is not second[1]
    assert codecs.resolve_dtype("<blob>", store_name="cold")[2] == "cold" and first[2] is None
    source = "from datajoint import codecs; print(hasattr(codecs.resolve_dtype, 'cache_info'))"
    assert without_patches(source) == "False"


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_an_enum_that_exists_does_not_abort_the_transaction(database):
    from datajoint.adapters.postgres import PostgreSQLAdapter

    adapter = PostgreSQLAdapter()
    adapter._pending_enum_types = {"enum_test": ["a", "b"]}
    (statement,) = adapter.get_pending_enum_ddl("public")
    try:
        with database.transaction:
            database.query(statement)
            database.query(statement)
            assert database.query("SELECT 1").fetchone() == (1,)
    finally:
        database.query("DROP TYPE public.enum_test")
    plain = (
        "from datajoint.adapters.postgres import PostgreSQLAdapter as A; a = A(); "
        "a._pending_enum_types = {'t': ['a']}; print(a.get_pending_enum_ddl('s')[0].startswith('CREATE TYPE'))"
    )
    assert without_patches(plain) == "True"


def test_double_quotes_are_text_in_a_restriction_on_both_databases(database):
    lab.Lab.insert([{"lab": "a", "address": "x y'z"}, {"lab": "b", "address": "lab"}])

    def found(*restrictions):
        query = lab.Lab()
        for restriction in restrictions:
            query &= restriction
        return sorted(query.to_arrays("lab").tolist())

    assert found('lab = "a"') == found(['lab="a"']) == found(dj.AndList(['lab = "a"'])) == ["a"]
    assert found(dj.Not('lab = "a"')) == ["b"]
    assert found('lab IN ("a", "b") AND "b" <> lab') == ["a"]
    assert found('address LIKE "x%"') == found('address = "x y\'z"') == ["a"]
    assert found("lab = 'a'", (lab.Lab & 'lab = "a"').proj()) == ["a"]
    assert len((lab.Lab & 'lab BETWEEN "a" AND "b"').proj(address="lab")) == 2


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_text_that_is_also_a_column_is_asked_back(database):
    with pytest.raises(AmbiguousError, match="write 'lab' for the text"):
        lab.Lab & 'address = "lab"'
    plain = (
        "from types import SimpleNamespace as N; from datajoint.condition import make_condition as m; "
        "e = N(connection=N(adapter=N(backend='postgresql')), heading=None); print(m(e, 'a = \\x22x\\x22', set()))"
    )
    assert '"x"' in without_patches(plain), "DataJoint turns double quotes into text by now: delete the patch"


def test_a_name_that_a_table_does_not_have_is_an_error_in_a_restriction(database):
    """Unpatched, `Session & {"eid": …}` on a table without it, or a name with a typing error, selects every row."""
    import datajoint as dj

    import pipeline
    from pipeline import acquisition, behavior, subject

    lab.Lab.insert([{"lab": "a"}, {"lab": "b"}])
    for name, words in (("eid", r"pipeline.session\(eid\)"), ("columns_presnt", "did you mean 'columns_present'")):
        for form in ({name: "x"}, [{name: "x"}], dj.Not({name: "x"}), dj.AndList([{name: "x"}])):
            with pytest.raises(dj.DataJointError, match=words):
                behavior.TrialSet & form
    with pytest.raises(dj.DataJointError, match="'subjct'"):
        behavior.TrialSet - {"subjct": "KS014"}
    assert len(lab.Lab & {"lab": "a", "subject": "m", "session_date": "2026-01-05"}) == 1, "a longer key is one"
    assert len(behavior.TrialSet & {"session_number": 1, "criteria": "ibllib_4"}) == 0
    eid = "00000000-0000-4000-8000-000000000001"
    subject.Subject.insert1({"lab": "a", "subject": "m", "subject_uuid": eid})
    key = {"lab": "a", "subject": "m", "session_date": datetime.date(2026, 1, 5), "session_number": 1}
    acquisition.Session.insert1(key | {"eid": eid})
    assert pipeline.session(eid) == key
    assert len(subject.Subject & (acquisition.Session & key).fetch1()) == 1, "a whole row restricts by its key"
    with pytest.raises(dj.DataJointError, match="eid"):
        behavior.TrialSet & {"lab": "a", "eid": eid}
    with pytest.raises(pipeline.errors.NeurojointError, match="no session has the eid"):
        pipeline.session("431e7140-8444-4d4d-aca0-1526a2ac136a")
    source = "import inspect; print('no matching attributes -> evaluates to True' in inspect.getsource(dj.condition))"
    assert without_patches(source) == "True"


def test_every_access_to_jobs_still_loads_all_foreign_keys(database, monkeypatch):
    """Patched, they are loaded once for all tables of a connection."""
    from datajoint.dependencies import Dependencies

    from pipeline import behavior

    assert behavior.TrialSet.jobs.primary_key == behavior.TrialSet().primary_key
    loads = []
    monkeypatch.setattr(Dependencies, "load", lambda self, *args, **kwargs: loads.append(args))
    assert behavior.TrialSet.jobs.primary_key == behavior.TrialSet().primary_key
    assert not loads
    source = "import inspect; print('dependencies.load()' in inspect.getsource(dj.jobs.Job._get_fk_derived_pk_attrs))"
    assert without_patches(source) == "True"


def test_the_job_tables_of_all_tables_need_the_foreign_keys_once(database, monkeypatch):
    """`neurojoint status` asks for each of 42."""
    from pipeline import behavior

    vars(database).pop("_keys_of_job_tables", None)
    database.dependencies.clear()
    asked = []
    ask = database.adapter.load_foreign_keys_sql
    monkeypatch.setattr(database.adapter, "load_foreign_keys_sql", lambda *args: asked.append(args) or ask(*args))
    for table in (behavior.TrialSet, behavior.WheelMoveSet, behavior.TrialSet):
        assert table().jobs.primary_key == table().primary_key
    assert len(asked) == 1


def test_connecting_imports_nothing_that_only_some_commands_need(server):
    """Matplotlib came with DataJoint's diagram, numba with the kernels, scipy's optimisation with a fit."""
    code = (
        "import os, sys, json, pipeline; from pipeline.settings import settings, override\n"
        "with override(**json.loads(os.environ['GIVEN'])): pipeline.connect()\n"
        "print([name for name in ('matplotlib', 'numba', 'scipy.special', 'scipy.optimize', 'scipy.stats')"
        " if name in sys.modules])\n"
        "import datajoint as dj; print(dj.Diagram._restricted_table.patched)"
    )
    given = json.dumps({name: str(value) for name, value in server.items()})
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"GIVEN": given}, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split("\n")[:2] == ["[]", "True"], ran.stderr


def test_vectors_are_still_taken_apart_value_by_value():
    code = "import numpy as np; from datajoint import blob; n = []; one = blob.Blob.read_value\n" \
           "def counted(self, *a, **k): n.append(1); return one(self, *a, **k)\n" \
           "blob.Blob.read_value = counted; blob.unpack(blob.pack(np.arange(3.0))); print(len(n))"  # fmt: skip
    assert int(without_patches(code)) > 3


ARRAYS = st.sampled_from(["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", "c16"]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=30))
)


def outcome(read, packed, squeeze=False):
    """What reading a blob gives, or which error."""
    try:
        return pickle.dumps(read(blob.Blob(squeeze), packed))
    except Exception as error:
        return type(error)


@settings(deadline=None)
@given(ARRAYS | st.integers(130, 500).map(np.arange) | st.binary(max_size=2000) | st.lists(st.text(max_size=5)))
def test_blobs_are_read_as_by_datajoint(value):
    """Damaged ones too."""
    compat.apply(list)
    ours, theirs = blob.Blob.unpack, blob.Blob.unpack.by_parts
    packed = blob.pack(value)
    for form in (packed, packed[:-1], packed[:13], packed + b"\0"):
        for squeeze in (False, True):
            assert outcome(ours, form, squeeze) == outcome(theirs, form, squeeze)
            assert outcome(ours, memoryview(form).cast("c"), squeeze) == outcome(theirs, form, squeeze), "of psycopg"
