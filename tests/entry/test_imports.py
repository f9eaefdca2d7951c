"""Spreadsheets in and out: headings as people write them, all rows or none, errors by line."""

from __future__ import annotations

import openpyxl
import pytest

from pipeline.entry import spreadsheets
from pipeline.entry.imports import import_file
from pipeline.errors import UserError
from pipeline.schemas import action, lab, subject
from tests.entry.lab_of_mice import LAB

pytestmark = pytest.mark.parametrize("server", ["postgresql"], indirect=True)


def test_weights_from_excel_and_csv_with_headings_of_people(lab_in_transaction, tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["Mouse", "Date", "Weight (g)"],
        ["m1", "2026-03-01T09:00", 24.5],
        [],
        ["m2", "2026-03-01 09:05", "22,5"],
    ):
        book.active.append(row)
    book.save(tmp_path / "w.xlsx")
    assert import_file("weights", tmp_path / "w.xlsx", user="mia", lab=LAB).created == 2
    assert sorted(action.Weighing().to_arrays("weight").tolist()) == [22.5, 24.5]
    (tmp_path / "w.csv").write_text(f"lab;subject;weighing_time;weight\n{LAB};m1;2026-03-02T09:00;24,1\n")
    assert import_file("weights", tmp_path / "w.csv", user="mia").created == 1


def test_what_is_wrong_is_said_by_line_and_nothing_is_written(lab_in_transaction, tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("mouse,time,weight\nm1,2026-03-01T09:00,24\n\nm9,2026-03-01T09:00,24\nm2,yesterday,-3\n")
    with pytest.raises(UserError) as error:
        import_file("weights", path, user="mia", lab=LAB)
    said = str(error.value)
    assert "line 4" in said and "m9" in said and "line 5, weight" in said and "line 5, weighing_time" in said
    assert not action.Weighing()
    path.write_text("mouse,colour\nm1,brown\n")
    with pytest.raises(UserError, match="'colour' is not understood"):
        import_file("mice", path, user="mia", lab=LAB)


def test_people_with_roles_and_genotypes(lab_in_transaction, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("user,name,e-mail,role\nzoe,Zoe Ada,zoe@example.org,technician\n")
    import_file("people", path, user="lars", lab=LAB)
    assert (lab.LabMembership & {"user_name": "zoe"}).fetch1("lab_role") == "technician"
    path.write_text("mouse,sequence,date,result\nm1,cre,2026-02-01,+\n")
    import_file("genotypes", path, user="lars", lab=LAB, create_missing=True)
    assert subject.GenotypeTest.fetch1("test_result") == "Present"


def test_a_dry_run_writes_nothing_and_formulas_stay_text(lab_in_transaction, tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("mouse,time,weight\nm1,2026-03-01T09:00,24\n")
    assert import_file("weights", path, user="mia", lab=LAB, dry_run=True).created == 1
    assert not action.Weighing()
    data = spreadsheets.to_excel(["text"], [{"text": "=1+1"}])
    (tmp_path / "f.xlsx").write_bytes(data)
    assert openpyxl.load_workbook(tmp_path / "f.xlsx").active["A2"].data_type == "s"
