"""A lab whose animals are entered by people: the lab of the tests of the notebook's pages.

`python -m tests.dashboard.notebook_lab ROOT [N]` enters it into the database of the environment, with N mice under
water restriction.
"""

from __future__ import annotations

import datetime
import sys

LAB = "mouselab"
BY = {"user": "setup", "source": "test"}
ROLES = {"mia": "member", "tom": "technician", "cora": "colony manager", "lars": "lab manager", "rita": "reader"}
DAY = datetime.timedelta(days=1)


def build(n_mice: int = 12) -> None:
    """The lab, its people, two mice for breeding, and mice that were weighed and restricted on the days before."""
    import pipeline
    from pipeline import entry

    pipeline.connect()
    entry.write("lab.Lab", [{"lab": LAB, "time_zone": "Europe/London"}], **BY)
    people = [{"user_name": name, "email": f"{name}@example.org"} for name in (*ROLES, "ada")]
    entry.write("lab.LabMember", people, **BY)
    roles = [{"lab": LAB, "user_name": name, "lab_role": role} for name, role in ROLES.items()]
    entry.write("lab.LabMembership", roles, **BY)
    entry.write("subject.Line", [{"line": "Ai32", "line_nickname": "AI"}], **BY)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0, second=0)
    born = (now - 90 * DAY).date()
    names = [f"M{number:03d}" for number in range(1, n_mice + 1)]
    mice = [(name, "mia", "M" if i % 2 else "F", f"C{1 + i // 3}") for i, name in enumerate(names)]
    mice += [("P001", "mia", "M", "B1"), ("P002", "mia", "F", "B1")]
    entry.write("subject.Subject", [
        {"lab": LAB, "subject": name, "responsible_user": person, "sex": sex, "birth_date": born, "line": "Ai32",
         "cage": cage} for name, person, sex, cage in mice
    ], **BY)  # fmt: skip
    weighings = [
        {"lab": LAB, "subject": name, "weighing_time": now - days * DAY, "weight": 25 - 0.3 * (3 - days) + 0.05 * i}
        for i, name in enumerate(names)
        for days in (3, 2, 1)
    ]
    entry.write("action.Weighing", weighings, **BY)
    entry.write("action.WaterRestriction", [
        {"lab": LAB, "subject": name, "restriction_start": now - 3 * DAY, "reference_weight": 25 + 0.05 * i}
        for i, name in enumerate(names)
    ], **BY)  # fmt: skip
    results = [("Homozygous", "Present", "Absent"), ("Heterozygous", "Present", "Present"),
               ("Absent", "Absent", "Present")]  # fmt: skip
    by = {**BY, "create_missing": True}
    entry.write("subject.Sequence", [{"sequence": "cre"}, {"sequence": "wt"}], **by)
    for number, (zygosity, cre, wt) in enumerate(results, 1):
        rule = {"line": "Ai32", "allele": "Cre", "rule_number": number}
        entry.write("subject.ZygosityRule", [rule | {"zygosity": zygosity}], **by)
        entry.write("subject.ZygosityRule.Result", [
            rule | {"sequence": "cre", "rule_result": cre}, rule | {"sequence": "wt", "rule_result": wt},
        ], **by)  # fmt: skip


if __name__ == "__main__":
    build(*map(int, sys.argv[2:]))
