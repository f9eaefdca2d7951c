"""A lab whose animals are entered by people: the lab of the tests of the notebook's pages.

`python -m tests.dashboard.notebook_lab ROOT [N [M]]` enters it into the database of the environment, with N mice under
water restriction, and M of another lab, of which one morning round is made.
"""

from __future__ import annotations

import datetime
import sys

LAB, ROUND_LAB = "mouselab", "roundlab"
BY = {"user": "setup", "source": "test"}
ROLES = {"mia": "member", "tom": "technician", "cora": "colony manager", "lars": "lab manager", "rita": "reader"}
DAY = datetime.timedelta(days=1)


def build(n_mice: int = 12, n_round: int = 6) -> None:
    """The lab, its people, two mice for breeding, and mice that were weighed and restricted on the days before."""
    import pipeline
    from pipeline import entry

    pipeline.connect()
    entry.write("lab.Lab", [{"lab": name, "time_zone": "Europe/London"} for name in (LAB, ROUND_LAB)], **BY)
    people = [{"user_name": name, "email": f"{name}@example.org"} for name in (*ROLES, "tess", "ada")]
    entry.write("lab.LabMember", people, **BY)
    roles = [{"lab": LAB, "user_name": name, "lab_role": role} for name, role in ROLES.items()]
    roles += [{"lab": ROUND_LAB, "user_name": "tess", "lab_role": "technician"}]
    entry.write("lab.LabMembership", roles, **BY)
    entry.write("subject.Line", [{"line": "Ai32", "line_nickname": "AI"}], **BY)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0, second=0)
    born = (now - 90 * DAY).date()
    names = [f"M{number:03d}" for number in range(1, n_mice + 1)]
    mice = [(name, "mia", "M" if i % 2 else "F", f"C{1 + i // 3}") for i, name in enumerate(names)]
    parents = [("P001", "mia", "M", "B1"), ("P002", "mia", "F", "B1")]
    entry.write("subject.Subject", [
        {"lab": LAB, "subject": name, "responsible_user": person, "sex": sex, "birth_date": date, "line": "Ai32",
         "cage": cage} for date, group in ((born, mice), (born - 150 * DAY, parents))
        for name, person, sex, cage in group
    ], **BY)  # fmt: skip
    others = [f"R{number:03d}" for number in range(1, n_round + 1)]
    entry.write("subject.Subject", [
        {"lab": ROUND_LAB, "subject": name, "responsible_user": "tess", "sex": "F", "birth_date": born,
         "cage": f"{1 + i // 4}"} for i, name in enumerate(others)
    ], **BY)  # fmt: skip
    restricted = [(lab, name, i) for lab, mice in ((LAB, names), (ROUND_LAB, others)) for i, name in enumerate(mice)]
    weighings = [
        {"lab": lab, "subject": name, "weighing_time": now - days * DAY, "weight": 25 - 0.3 * (3 - days) + 0.05 * i}
        for lab, name, i in restricted
        for days in (3, 2, 1)
    ]
    entry.write("action.Weighing", weighings, **BY)
    entry.write("action.WaterRestriction", [
        {"lab": lab, "subject": name, "restriction_start": now - 3 * DAY, "reference_weight": 25 + 0.05 * i}
        for lab, name, i in restricted
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
