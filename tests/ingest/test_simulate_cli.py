"""`neurojoint simulate` writes what it was asked for and says where."""

import json

from click.testing import CliRunner

from neurojoint.cli import main


def test_simulate_writes_a_lab(tmp_path):
    root = tmp_path / "lab"
    arguments = [
        "simulate",
        str(root),
        "--mice",
        "2",
        "--sessions",
        "3",
        "--seed",
        "5",
        "--form",
        "table",
        "--no-wheel",
    ]
    result = CliRunner().invoke(main, [*arguments, "--lab", "testlab", "--damaged"])
    assert result.exit_code == 0, result.output
    truth = json.loads((root / "truth.json").read_text())
    assert str(root / "truth.json") in result.output.replace("\n", "")
    assert (truth["lab"], truth["seed"], len(truth["mice"]), len(truth["sessions"])) == ("testlab", 5, 2, 6)
    assert {session["form"] for session in truth["sessions"]} == {"table"}
    assert truth["damaged"]
    assert all((root / session["path"]).is_dir() for session in truth["sessions"])
