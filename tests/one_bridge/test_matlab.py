"""The client for MATLAB, in GNU Octave: what it loads over HTTP equals what the Python client loads."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
from scipy.io import loadmat

from tests.one_bridge.remote import FIRST, SESSIONS, client
from tests.one_bridge.serving import PASSWORD
from tests.one_bridge.trees import File, Session, build

CLIENT = Path(__file__).parents[2] / "matlab"
OCTAVE = shutil.which("octave-cli")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.one_database,
    pytest.mark.skipif(
        OCTAVE is None and not os.environ.get("NEUROJOINT_REQUIRE_ALL"), reason="octave is not installed"
    ),
]

TABLE = pd.DataFrame(
    {
        "intervals_0": [0.5, 2.5, 4.5],
        "choice": np.array([1, -1, 0], np.int8),
        "rewarded": [True, False, True],
        "odour": ["mint", None, "röse"],
        "tries": pd.array([1, None, 3], "Int32"),
    }
)


def parquet(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


LAST = Session(
    subject="NR_9", date="2021-05-05", protocol="odours",
    files=[
        File("alf/_ibl_trials.table.pqt", parquet(TABLE)),
        File("alf/_ibl_trials.goCue_times.npy", np.array([1.0, np.nan, 5.0])),
        File("alf/_lab_trials.spout_xy.npy", np.arange(6.0, dtype=np.float32).reshape(3, 2)),
    ],
)  # fmt: skip


def octave(script: str, folder: Path) -> dict[str, np.ndarray]:
    """Run a script, which keeps what it finds in a struct `out`; returns its fields."""
    saved = folder / "out.mat"
    (folder / "script.m").write_text(
        f"addpath('{CLIENT}');\nout = struct();\n{script}\nsave('-7', '{saved}', 'out');\n"
    )
    ran = subprocess.run([str(OCTAVE), "--no-gui", "-q", str(folder / "script.m")], capture_output=True, text=True,
                         timeout=120)  # fmt: skip
    assert saved.exists(), ran.stderr
    result = loadmat(saved)["out"][0, 0]
    return {name: result[name] for name in result.dtype.names}


@pytest.fixture
def served(serve, tmp_path, monkeypatch):
    """The server with a fourth session, whose trials are in a table."""
    monkeypatch.setenv("HOME", str(tmp_path))
    build(tmp_path / "data", [*SESSIONS, LAST])
    return serve(tmp_path / "data")


def test_the_npy_reader_reads_every_type_and_order(tmp_path):
    random = np.random.default_rng(5)
    arrays = {
        f"{kind}_{place}": (random.random((3, 4, 2)) * 200 - (0 if kind[1] == "u" else 100)).astype(kind)
        for kind in ("<f8", "<f4", ">f8", "<i8", "<i4", ">i2", "|i1", "<u2", "|u1")
        for place in "CF"
    }
    arrays = {
        name: np.asfortranarray(values) if name[-1] == "F" else values for name, values in arrays.items()
    } | {
        "bool": np.array([[True, False], [False, False], [True, True]]),
        "vector": np.arange(5.0), "one": np.array(7.5), "none": np.zeros((0, 3)), "text": np.array(["a", "größe", ""]),
    }  # fmt: skip
    lines = []
    for number, (name, values) in enumerate(arrays.items()):
        np.save(tmp_path / f"{number}.npy", values)
        lines.append(f"out.a{number} = neurojoint.read_npy('{tmp_path}/{number}.npy');  % {name}")
    (tmp_path / "objects.npy").write_bytes(
        b"\x93NUMPY\x01\x00\x2e\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    )
    for name, content in (("cut", (tmp_path / "0.npy").read_bytes()[:200]), ("other", b"not npy at all")):
        (tmp_path / f"{name}.npy").write_bytes(content)
    lines += [
        f"try, neurojoint.read_npy('{tmp_path}/{name}.npy'); out.{name} = 'read'; catch e, out.{name} = e.message; end"
        for name in ("objects", "cut", "other")
    ]
    printed = octave("\n".join(lines), tmp_path)
    for number, (name, values) in enumerate(arrays.items()):
        read = printed[f"a{number}"]
        if name == "text":
            assert [str(value[0]) if value.size else "" for value in read.ravel()] == values.tolist()
            continue
        expected = values.reshape(-1, 1) if values.ndim < 2 else values
        assert read.shape == expected.shape and read.dtype.kind == ("u" if name == "bool" else values.dtype.kind), name
        np.testing.assert_array_equal(read, expected, err_msg=name)
    refused = [str(printed[name].ravel()[0]) for name in ("objects", "cut", "other")]
    assert "cannot be read" in refused[0] and "ends after" in refused[1] and "no .npy file" in refused[2]


def test_sessions_and_datasets_equal_those_of_the_python_client(served, tmp_path):
    one = client(served, tmp_path)
    eid, last = str(FIRST.eid), str(LAST.eid)
    printed = octave(
        f"""
        c = neurojoint.connect('{served.url}', 'mia', '{PASSWORD}');
        out.all = neurojoint.search(c);
        [out.some, rows] = neurojoint.search(c, 'subject', 'KS014', 'date_range', '2020-01-02,2020-01-03');
        out.subject = rows{{1}}.subject;
        out.names = neurojoint.list(c, '{eid}');
        out.choice = neurojoint.load_dataset(c, '{eid}', '_ibl_trials.choice.npy');
        out.older = neurojoint.load_dataset(c, '{eid}', 'alf/_ibl_trials.choice.npy');
        out.spikes = neurojoint.load_object(c, '{eid}', 'spikes', 'alf/probe00');
        out.trials = neurojoint.load_object(c, '{last}', 'trials');
        try, neurojoint.load_dataset(c, '{eid}', 'wheel.position'); catch e, out.missing = e.message; end
        try, neurojoint.connect('{served.url}', 'mia', 'wrong'); catch e, out.wrong = e.message; end
        try, neurojoint.search(neurojoint.connect('{served.url}')); catch e, out.nobody = e.message; end
        """,
        tmp_path,
    )

    def texts(cells: np.ndarray) -> list[str]:
        return [str(value[0]) if value.size else "" for value in cells.ravel()]

    assert texts(printed["all"]) == [str(eid) for eid in one.search()] and len(printed["all"]) == len(SESSIONS) + 1
    assert texts(printed["some"]) == [str(eid) for eid in one.search(subject="KS014", date_range=["2020-01-02"] * 2)]
    assert printed["subject"].ravel()[0] == "KS014"
    assert texts(printed["names"]) == sorted(one.list_datasets(eid))
    assert printed["choice"].shape == (3, 1)
    np.testing.assert_array_equal(printed["choice"].ravel(), one.load_dataset(eid, "_ibl_trials.choice.npy"))
    assert printed["older"].ravel().tolist() == [1, -1, 0]
    spikes = one.load_object(eid, "spikes", collection="alf/probe00")
    for name in ("times", "clusters"):
        np.testing.assert_array_equal(printed["spikes"][name][0, 0].ravel(), spikes[name])
    trials, expected = printed["trials"][0, 0], one.load_object(last, "trials")
    for name in ("choice", "rewarded", "goCue_times"):
        np.testing.assert_array_equal(trials[name].ravel(), np.asarray(expected[name]), err_msg=name)
    assert trials["intervals_0"].ravel().tolist() == TABLE["intervals_0"].tolist()
    np.testing.assert_array_equal(trials["tries"].ravel(), [1, np.nan, 3])
    np.testing.assert_array_equal(trials["spout_xy"], expected["spout_xy"])
    assert texts(trials["odour"]) == ["mint", "", "röse"]
    assert "no dataset wheel.position" in str(printed["missing"]) and "did not let mia in" in str(printed["wrong"])
    assert "did not answer" in str(printed["nobody"])


def test_columns_of_tables_over_http(served):
    mia, table = served.session(), f"{served.url}/data/{LAST.path}/alf/_ibl_trials.table.pqt"
    assert mia.get(table, params={"column": ""}).json() == list(TABLE)
    assert requests.get(table, params={"column": "choice"}, timeout=60).status_code == 401
    result = np.load(io.BytesIO(mia.get(table, params={"column": "choice"}).content), allow_pickle=False)
    assert result.dtype == np.int8 and result.tolist() == [1, -1, 0]
    for address, column, words in ((table, "nothing", "no column"), (table.replace("table.pqt", "goCue_times.npy"),
                                                                    "x", "Only Parquet")):  # fmt: skip
        refused = mia.get(address, params={"column": column})
        assert refused.status_code == 400 and words in refused.text
