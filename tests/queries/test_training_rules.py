"""Training rules of one's own: tried on all animals before they are saved, then versions that the workers judge by."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

import ingest
from ingest.simulate import write_lab
from neurojoint.cli import main
from pipeline import audit, behavior, behavior_analysis
from pipeline.analysis.criteria import IBL_PIPELINE_2021
from pipeline.entry import training_rules
from pipeline.errors import UserError
from pipeline.queries.training_rules import preview, read_rules, saved_rules
from pipeline.worker import drain

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def easier(rules):
    """Trained after a window of one session with any performance."""
    level = dataclasses.replace(rules.levels[0], window=1, criteria=(), complete=False)
    return dataclasses.replace(rules, levels=(level,), failures=())


def test_rules_are_tried_saved_and_judged_by(database, tmp_path):
    write_lab(tmp_path / "data", n_mice=2, n_sessions=2, seed=2, wheel=False)
    ingest.register(tmp_path / "data")
    drain([behavior.TrialSet])
    rules = easier(saved_rules("ibl_pipeline_2021"))
    assert not {"promoted", "demoted"} & set(preview(IBL_PIPELINE_2021, IBL_PIPELINE_2021)["change"].to_pylist())
    promoted = [row for row in preview(rules, IBL_PIPELINE_2021).to_pylist() if row["change"] == "promoted"]
    assert {row["status_after"] for row in promoted} == {rules.levels[0].status} and len(promoted) == 2
    assert preview(rules, IBL_PIPELINE_2021, {"subject": promoted[0]["subject"]}).num_rows == 1

    file, run = tmp_path / "rules.json", CliRunner().invoke
    file.write_text(json.dumps(dataclasses.asdict(rules)))
    shown = run(main, ["rules", "preview", str(file)])
    assert shown.exit_code == 0 and f"{promoted[0]['subject']}  promoted: " in shown.output
    assert "2 promoted, 0 demoted" in shown.output
    assert not behavior_analysis.TrainingCriteria & {"criteria": "easy"}, "a preview writes nothing"

    assert run(main, ["rules", "save", "easy", str(file), "--description", "for tests"]).output.strip() == "easy:1"
    assert (audit.Edit & {"edit_table": "behavior_analysis.TrainingCriteria"}).fetch1("edit_action") == "create"
    again = run(main, ["rules", "save", "easy", str(file)])
    assert again.exit_code and "same rules" in again.output
    changed = dataclasses.replace(rules, latch=not rules.latch)
    assert training_rules.save(changed, "easy", "", user="ada", source="test").version == 2
    assert saved_rules("easy:1").latch is not saved_rules("easy").latch
    drain([behavior_analysis.SubjectTraining])
    judged = behavior_analysis.SubjectTraining & {"criteria": "easy", "criteria_version": 1}
    expected = {row["subject"]: row["status_after"] for row in promoted}
    assert dict(zip(*judged.to_arrays("subject", "training_status"), strict=True)) == expected


def test_what_is_no_rule_set_is_refused_with_the_reason(database):
    text = json.dumps(dataclasses.asdict(IBL_PIPELINE_2021))
    for wrong, words in (("{", "no training rules"), (text.replace('"latch"', '"lach"'), "lach"),
                         (text.replace('"n_trials"', '"n_trails"'), "unknown measure 'n_trails'")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            read_rules(wrong)
    with pytest.raises(UserError, match="choose from"):
        saved_rules("nobody")
    with pytest.raises(UserError, match="cannot be the name"):
        training_rules.save(IBL_PIPELINE_2021, "with space", "", user="ada", source="test")
