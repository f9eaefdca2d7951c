"""Spreadsheets in and out: headings as people write them, all rows or none, errors by line."""

from __future__ import annotations

import datetime

import openpyxl
import pytest

from pipeline.entry import spreadsheets
from pipeline.entry.imports import import_file
from pipeline.errors import UserError
from pipeline.schemas import action, lab, subject
from tests.entry.lab_of_mice import LAB

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


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


def weights() -> list[tuple[str, str, float]]:
    rows = action.Weighing().to_dicts(order_by="subject, weighing_time")
    return [(row["subject"], f"{row['weighing_time']:%m-%d %H:%M}", row["weight"]) for row in rows]


@pytest.mark.parametrize("text", [
    "\ufeffMaus;x\n",
    "mouse,time,weight\nm1,2026-03-01T09:00,24,5\n",
    "mouse,name,time,weight\nm1,m2,2026-03-01T09:00,24\n",
    "mouse,time,weight,weight\nm1,2026-03-01T09:00,24,25\n",
    "mouse,time,weight (g),weight\nm1,2026-03-01T09:00,24,25\n",
    "mouse,time,\nm1,2026-03-01T09:00,24\n",
    "mouse;time;weight\nm1;03/01/2026 09:00;24\n",
    "mouse;time;weight\nm1;31.2.2026 09:00;24\n",
    "mouse;time;weight\nm1;1.3.2026 09:00;1.024,5\n",
    "\n\n",
    "mouse,time,weight\n,,\n",
], ids=["a heading nobody knows", "a decimal comma between commas", "two columns for the mouse", "a heading twice",
        "a column twice under two headings", "no heading", "a date that can be read in two ways", "no day",
        "thousands", "nothing", "no rows"])  # fmt: skip
def test_files_that_can_be_misread_are_refused_and_change_nothing(lab_in_transaction, tmp_path, text):
    (tmp_path / "w.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        import_file("weights", tmp_path / "w.csv", user="mia", lab=LAB)
    assert not action.Weighing()


@pytest.mark.parametrize("text", [
    "\ufeffMouse;Date;Weight (g)\r\nm1;01.03.2026 09:00;24,5\r\n;;\r\nm2;1.3.2026 9:05;22\r\n",
    "sep=;\r\nmouse;time;weight\r\nm1;2026-03-01 09:00;24,5 g\r\nm2;2026-03-01T09:05;22\r\n;;\r\n",
    "\n,,,\nmouse,date,time,weight\nm1,2026-03-01,09:00,24.5\n\nm2,1.3.2026,9:05,22\n",
    'mouse;"time";"weight"\nm1;2026-03-01 09:00;"24,5"\n"m2";2026-03-01 09:05;22;;;\n',
    "Mouse\tDate\tWeight (g)\nm1\t2026-03-01 09:00\t24,5\nm2\t2026-03-01 09:05\t22\n",
], ids=["of a German Excel", "with a separator line", "day and time apart", "quotes, empty cells", "tabs"])  # fmt: skip
def test_files_of_other_programs(lab_in_transaction, tmp_path, text):
    (tmp_path / "w.csv").write_text(text, encoding="utf-8", newline="")
    import_file("weights", tmp_path / "w.csv", user="mia", lab=LAB)
    assert weights() == [("m1", "03-01 09:00", 24.5), ("m2", "03-01 09:05", 22.0)]


def test_excel_with_dates_times_merged_cells_and_empty_rows(lab_in_transaction, tmp_path):
    """A cell that is merged over several rows holds for each of them; the line of the file is named."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([])
    sheet.append(["Mouse", "Date", "Time", "Weight (g)", None])
    sheet.append(["m1", datetime.date(2026, 3, 1), datetime.time(9, 0), 24.5])
    sheet.append(["m2", None, datetime.time(9, 5), "22,0"])
    sheet.append([])
    sheet.append(["m1", datetime.datetime(2026, 3, 2), datetime.time(9, 0), 24])
    sheet.merge_cells("B3:B4")
    book.save(tmp_path / "w.xlsx")
    import_file("weights", tmp_path / "w.xlsx", user="mia", lab=LAB)
    assert weights() == [("m1", "03-01 09:00", 24.5), ("m1", "03-02 09:00", 24.0), ("m2", "03-01 09:05", 22.0)]
    sheet["D6"] = "#N/A"
    book.save(tmp_path / "w.xlsx")
    with pytest.raises(UserError, match="line 6, weight"):
        import_file("weights", tmp_path / "w.xlsx", user="mia", lab=LAB)


def test_what_the_site_exports_is_imported_as_it_was(lab_in_transaction, tmp_path):
    """Also in summer, when the lab's clocks are not those of the tables."""
    from dashboard.queries.tables import read_rows

    (tmp_path / "w.csv").write_text("mouse;time;weight\nm1;2026-07-01 09:00;24,5\nm2;2025-12-31 23:30;22\n")
    import_file("weights", tmp_path / "w.csv", user="mia", lab=LAB)
    columns, rows = read_rows("action.Weighing")
    (tmp_path / "again.xlsx").write_bytes(spreadsheets.to_excel(columns, rows))
    done = import_file("action.Weighing", tmp_path / "again.xlsx", user="mia")
    assert (done.created, done.updated, done.unchanged) == (0, 0, 2)
