"""What people do with animals: what is refused or asked back, what follows, that it is undone and never doubled."""

from __future__ import annotations

import datetime
import uuid

import pytest

from pipeline import entry
from pipeline.entry import InvalidEntry
from pipeline.entry import writer as writing
from pipeline.entry.actions import ACTIONS, Actor, NeedsConfirmation, undo
from pipeline.errors import ConflictError, PermissionDenied
from pipeline.schemas import action, audit, notification, subject
from tests.entry.lab_of_mice import LAB, NOW, do

M1 = {"lab": LAB, "subject": "m1"}
DAY = datetime.timedelta(days=1)

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


@pytest.fixture
def lab(lab_in_transaction):
    return lab_in_transaction


def refused(name, column="", **values):
    with pytest.raises(InvalidEntry) as caught:
        do(name, **values)
    assert not column or column in {error.column for error in caught.value.errors}
    return str(caught.value)


def test_a_weight_that_is_not_plausible_is_asked_back(lab):
    do("weigh", subject="m1", weight="20")
    with pytest.raises(NeedsConfirmation) as asked:
        do("weigh", subject="m1", weight="2.1", now=NOW + DAY)
    assert set(asked.value.questions) == {"weight"} and "2.1 g is -90 %" in str(asked.value)
    assert len(action.Weighing()) == 1
    do("weigh", subject="m1", weight="2.1", now=NOW + DAY, confirmed=["weight"])
    assert len(action.Weighing()) == 2
    with pytest.raises(NeedsConfirmation, match="what a mouse weighs"):
        do("weigh", subject="m2", weight="200")
    assert "-5 is not between" in refused("weigh", "weight", subject="m2", weight="-5")
    assert "in the future" in refused("weigh", "time", subject="m2", weight="20", time="2026-03-03T08:00")


def test_an_action_is_not_done_twice_under_one_identifier(lab):
    batch = str(uuid.uuid4())
    assert do("weigh", subject="m1", weight="20", batch=batch).created == 1
    assert do("weigh", subject="m1", weight="20", batch=batch).repeated
    assert len(action.Weighing()) == 1


def test_a_restriction_needs_a_reference_weight_and_nobody_has_two(lab):
    assert "weigh it" in refused("start_restriction", "reference_weight", subject="m1")
    do("weigh", subject="m1", weight="25", now=NOW - 8 * DAY)
    assert "weigh it" in refused("start_restriction", "reference_weight", subject="m1")
    do("weigh", subject="m1", weight="25")
    do("start_restriction", subject="m1", restriction_water="Hydrogel", reason="training")
    assert action.WaterRestriction.fetch1("reference_weight") == 25.0
    assert "end that first" in refused("start_restriction", "start", subject="m1", now=NOW + DAY)
    do("give_water", subject="m1", volume="0.8", now=NOW + DAY)
    assert action.WaterAdministration.fetch1("water_type") == "Hydrogel"
    do("end_restriction", subject="m1", reason="done", now=NOW + DAY)
    assert action.WaterRestriction.fetch1("restriction_end") == NOW + DAY
    assert "not restricted" in refused("end_restriction", subject="m1", now=NOW + DAY)


def test_death_ends_restrictions_and_housing_whoever_says_so_and_undo_revives(lab):
    do("weigh", subject="m1", weight="25")
    do("start_restriction", subject="m1")
    do("move", subject="m1", cage="C1")
    done = do("cull", subject="m1", cull_method="perfusion", cull_reason="end of experiment", now=NOW + DAY)
    assert (
        subject.Subject.fetch1("death_date")
        if False
        else (subject.Subject & M1).fetch1("death_date") == (NOW + DAY).date()
    )
    assert action.WaterRestriction.fetch1("restriction_end") is not None
    assert (subject.Housing & M1).fetch1("housing_end") == (NOW + DAY).date()
    assert "died on" in refused("weigh", "subject", subject="m1", weight="25", now=NOW + 2 * DAY)
    undo(done.batch, actor=Actor.of("mia"))
    assert (subject.Subject & M1).fetch1("death_date") is None and not subject.Cull()
    assert action.WaterRestriction.fetch1("restriction_end") is None
    writing.write("subject.Subject", [M1 | {"death_date": "2026-03-05"}], user="x", source="rest")
    assert action.WaterRestriction.fetch1("restriction_end") is not None


def test_nobody_is_in_two_cages(lab):
    do("move", subject="m1", cage="C1", date="2026-02-01")
    do("move", subject="m1", cage="C2", date="2026-02-10")
    do("move", subject="m1", cage="C3", date="2026-02-10")
    rows = (subject.Housing & M1).to_dicts(order_by="housing_start")
    assert [(row["cage_name"], str(row["housing_end"])) for row in rows] == [("C1", "2026-02-10"), ("C3", "None")]
    assert "after that" in refused("move", "date", subject="m1", cage="C1", date="2026-02-05")
    assert (subject.Subject & M1).fetch1("cage") == "C3"


def test_an_operation_sets_implant_and_severity_and_without_recovery_the_animal_dies(lab):
    do("operate", subject="m1", procedures=["Headplate implant"], implant_weight="1.5", outcome="recovery",
       site_ml="1500", site_ap="-2000", now=NOW)  # fmt: skip
    assert subject.Implant.fetch1("implant_weight") == 1.5
    assert (subject.Subject & M1).fetch1("actual_severity") == 3
    assert action.Surgery.Site.fetch1("site_ap") == -2000
    do("operate", subject="m2", procedures=["Histology"], outcome="acute")
    assert (subject.Subject & {"subject": "m2"}).fetch1("death_date") == NOW.date()
    assert "use one of" in refused(
        "operate", "outcome", subject="b1", who="bob", procedures=["Histology"], outcome="ok"
    )


def genetics():
    rows = [
        ("Homozygous", "Present", "Absent"),
        ("Heterozygous", "Present", "Present"),
        ("Absent", "Absent", "Present"),
    ]
    by = {"user": "x", "source": "test", "create_missing": True}
    writing.write("subject.Sequence", [{"sequence": "cre"}, {"sequence": "wt"}], **by)
    for number, (zygosity, cre, wt) in enumerate(rows, 1):
        rule = {"line": "Ai32", "allele": "Cre", "rule_number": number}
        writing.write("subject.ZygosityRule", [rule | {"zygosity": zygosity}], **by)
        results = [{"sequence": "cre", "rule_result": cre}, {"sequence": "wt", "rule_result": wt}]
        writing.write("subject.ZygosityRule.Result", [rule | result for result in results], **by)


def zygosity(name):
    rows = (subject.Genotype & {"subject": name}).to_dicts()
    return (rows[0]["zygosity"], rows[0]["genotype_origin"]) if rows else None


def test_a_zygosity_follows_its_tests_and_goes_with_them(lab):
    genetics()
    first = do("genotype", subject="m1", sequence="cre", test_result="+")
    assert zygosity("m1") == ("Present", "tests")
    second = do("genotype", subject="m1", sequence="wt", test_result="-")
    assert zygosity("m1") == ("Homozygous", "tests")
    undo(second.batch, actor=Actor.of("mia"))
    assert zygosity("m1") == ("Present", "tests")
    undo(first.batch, actor=Actor.of("mia"))
    assert zygosity("m1") is None
    do("set_zygosity", subject="m1", allele="Cre", zygosity="Heterozygous")
    do("genotype", subject="m1", sequence="cre", test_result="Absent")
    assert zygosity("m1") == ("Heterozygous", "entered")


def test_from_a_pair_to_weaned_animals_with_names_and_genotypes(lab):
    genetics()
    do("set_zygosity", subject="m1", allele="Cre", zygosity="Homozygous")
    do("set_zygosity", subject="m2", allele="Cre", zygosity="Absent")
    assert "is male" in refused("start_pair", "mothers", father="m1", mothers="m1", line="Ai32")
    pair = do("start_pair", father="m1", mothers="m2", line="Ai32", cage="B1", date="2026-01-01").result
    assert pair == "AI_BP_001"
    do("check_plug", breeding_pair=pair, date="2026-01-03")
    litter = do("record_litter", breeding_pair=pair, date="2026-01-24", n_born="5").result
    assert litter == "AI_L_001"
    with pytest.raises(NeedsConfirmation, match="5 were born"):
        do("wean", litter=litter, males="3", females="3", date="2026-02-15")
    with pytest.raises(NeedsConfirmation, match="7 days old"):
        do("wean", litter=litter, males="2", females="2", date="2026-01-31")
    writing.write("subject.Subject", [{"lab": LAB, "subject": "AI_0002"}], user="x", source="test")
    done = do("wean", litter=litter, males="2", females="1", male_cage="W1", date="2026-02-15")
    assert done.result == ["AI_0001", "AI_0003", "AI_0004"]
    pup = (subject.Subject & {"subject": "AI_0003"}).fetch1()
    assert (pup["sex"], str(pup["birth_date"]), pup["line"], pup["cage"]) == ("M", "2026-01-24", "Ai32", "W1")
    assert (pup["responsible_user"], pup["to_be_genotyped"]) == ("mia", True)
    assert zygosity("AI_0004") == ("Heterozygous", "parents")
    assert "already" in refused("wean", "litter", litter=litter, males="1")
    undo(done.batch, actor=Actor.of("mia"))
    assert not (subject.Subject & {"subject": "AI_0003"}) and subject.Line.fetch1("last_animal") == 0


def test_a_request_is_made_answered_and_both_are_told(lab):
    request = do("request_animals", "bob", request_count="1", line="Ai32", request_text="a male").result
    do("answer_request", "cora", request_id=request, request_status="answered", animals="m1")
    assert (subject.Subject & M1).fetch1("responsible_user") == "bob"
    told = {(row["message_event"], row["recipient"]) for row in notification.Message().to_dicts()}
    assert {("request_made", "cora"), ("request_made", "lars"), ("request_answered", "bob")} <= told
    assert {("responsible_user", "bob"), ("responsible_user", "mia")} <= told


def test_a_light_animal_is_reported_in_the_transaction_and_once(lab):
    start = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0) - DAY
    do("weigh", subject="m1", weight="25", now=start)
    do("start_restriction", subject="m1", now=start)
    do("weigh", subject="m1", weight="21.5", now=start + DAY)
    assert notification.Message.fetch1("message_event", "recipient") == ("near_limit", "mia")
    done = do("weigh", subject="m1", weight="20", now=start + DAY + datetime.timedelta(seconds=5))
    do("weigh", subject="m1", weight="19.9", now=start + DAY + datetime.timedelta(seconds=9))
    titles = notification.Message().to_arrays("message_title").tolist()
    assert len(titles) == 2 and "WARNING: m1 is underweight (80.0 %)" in titles
    assert done.created == 1


def test_what_somebody_changed_since_is_not_undone_and_others_entries_take_a_manager(lab):
    done = do("assign", subject="m1", responsible_user="bob")
    with pytest.raises(PermissionDenied):
        undo(done.batch, actor=Actor.of("tom"))
    do("assign", "bob", subject="m1", responsible_user="mia")
    with pytest.raises(ConflictError, match="changed since"):
        undo(done.batch, actor=Actor.of("lars"))


def test_every_action_is_described(lab):
    for item in ACTIONS.values():
        assert item.description and item.label, item.name
        for given in item.inputs:
            assert given.field.limits(), (item.name, given.name)


def test_the_audit_replayed_from_nothing_gives_the_same_rows(lab):
    genetics()
    do("weigh", subject="m1", weight="25")
    do("start_restriction", subject="m1")
    do("genotype", subject="m1", sequence="cre", test_result="+")
    done = do("weigh", subject="m2", weight="22")
    undo(done.batch, actor=Actor.of("mia"))
    do("move", subject="m1", cage="C1")
    do("cull", subject="m1", cull_method="CO2", cull_reason="surplus", now=NOW + DAY)
    rows: dict[str, dict[str, dict]] = {}
    for edit in audit.Edit().to_dicts(order_by="edit_time, edit_batch, edit_number"):
        table, path = rows.setdefault(edit["edit_table"], {}), edit["edit_path"]
        if edit["edit_action"] == "delete":
            del table[path]
        else:
            table[path] = table.get(path, {}) | edit["edit_key"] | (edit["edit_after"] or {})
    from pipeline.entry.audit import path_of, to_json
    from pipeline.entry.tables import class_of

    for name, replayed in rows.items():
        cls = class_of(name)
        for row in cls().to_dicts():
            path = path_of({column: row[column] for column in cls.primary_key})
            if path not in replayed:
                assert getattr(cls, "contents", None) is not None, (name, path)
                continue
            stored = to_json(row)
            replay = replayed.pop(path)
            assert {column: stored[column] for column in replay} == replay, (name, path)
        assert not replayed, (name, replayed)


def test_limits_of_the_protocol_are_asked_back(lab):
    """Severity, its end and the number of animals; volumes of an injection that no brain takes."""
    row = {"approved_protocol": "P1", "severity_limit": 2, "protocol_end": "2026-03-02", "animal_limit": 1}
    entry.write("subject.Protocol", [row], user="lars", source="test")

    def asked(name, code, **values):
        with pytest.raises(NeedsConfirmation) as questions:
            do(name, **values)
        assert set(questions.value.questions) == {code}
        return str(questions.value)

    do("edit_animal", subject="m1", protocol_number="P1")
    assert "allows 1 animals, and has 1" in asked("edit_animal", "animals", subject="m2", protocol_number="P1")
    assert "above the limit" in asked("operate", "severity", subject="m1", procedures="Headplate implant")
    assert "above the limit" in asked("report_harm", "severity", subject="m1", effect_text="thin", effect_severity="3")
    do("report_harm", subject="m1", effect_text="thin", effect_severity="2")
    do("start_restriction", subject="m1", reference_weight="22")
    later = {"subject": "m1", "now": NOW + DAY}
    assert "ended on 2026-03-02" in asked(
        "inject_virus", "protocol", virus_name="AAV1", injection_volume="200", **later
    )
    much = {"subject": "m2", "virus_name": "AAV1", "injection_volume": "9000"}
    assert "much at once" in asked("inject_virus", "injection_volume", **much)


def test_numbers_and_volumes_beyond_the_protocol_are_asked_back(lab):
    limits = {"approved_protocol": "P2", "operation_limit": 1, "injection_limit": 500, "drug_volume_limit": 10}
    entry.write("subject.Protocol", [limits], user="lars", source="test")
    do("edit_animal", subject="m1", protocol_number="P2")
    do("weigh", subject="m1", weight="20")
    do("operate", subject="m1", procedures="Injection")
    do("inject_virus", subject="m1", virus_name="AAV1", injection_volume="300")
    drug = {"drug_name": "saline", "drug_route": "s.c."}
    do("give_drug", subject="m1", drug_dose="0.2", drug_unit="mL", **drug)  # 10 mL/kg
    do("give_drug", subject="m1", drug_dose="300", drug_unit="mg/kg", now=NOW + DAY, **drug)
    beyond = [
        ("operate", {"procedures": "Injection"}, "allows 1 operations of an animal, it has had 1"),
        ("inject_virus", {"virus_name": "AAV1", "injection_volume": "201"}, "it has had 300 nL"),
        ("give_drug", {"drug_dose": "0.21", "drug_unit": "mL", **drug}, "10.5 mL/kg is above"),
        ("give_drug", {"drug_dose": "11", "drug_unit": "mL/kg", **drug}, "11 mL/kg is above"),
    ]
    for number, (name, values, said) in enumerate(beyond, 2):
        with pytest.raises(NeedsConfirmation, match=said) as asked:
            do(name, subject="m1", now=NOW + number * DAY, **values)
        do(name, subject="m1", now=NOW + number * DAY, confirmed=list(asked.value.questions), **values)
    do("inject_virus", subject="m2", virus_name="AAV1", injection_volume="900")  # on no protocol


def test_a_form_that_stood_open_while_somebody_else_changed_the_animal_changes_nothing(lab):
    do("edit_animal", subject="m1", ear_mark="L1", seen={"ear_mark": None})
    with pytest.raises(ConflictError, match="L1 by now"):
        do("edit_animal", "lars", subject="m1", ear_mark="R2", seen={"ear_mark": ""})
    do("edit_animal", "lars", subject="m1", sex="F", seen={"sex": "M"})
    assert (subject.Subject & M1).fetch1("ear_mark", "sex") == ("L1", "F")
