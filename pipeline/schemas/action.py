"""What is done to the animals: weighing, water, surgery, injections; and the water status of each day."""

import datajoint as dj
import pyarrow as pa

from pipeline.analysis import water
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import lab, subject  # noqa: F401 - parents of foreign keys
from pipeline.schemas.inputs import water_history

schema = registry.schema(__name__)


@schema
class Weighing(dj.Manual):
    definition = """
    # a weighing
    -> subject.Subject
    weighing_time              : datetime(6)     # UTC
    ---
    weight                     : float64         # g, with implant
    -> [nullable] lab.LabMember.proj(weighing_user='user_name')
    """


@schema
class WaterType(dj.Lookup):
    definition = """
    # what was given to drink
    water_type                 : varchar(64)     # name
    """
    contents = [
        {"water_type": name}
        for name in (
            "Water",
            "Water 1% Citric Acid",
            "Water 2% Citric Acid",
            "Water 3% Citric Acid",
            "Water 10% Sucrose",
            "Water 15% Sucrose",
            "Hydrogel",
            "Hydrogel 5% Citric Acid",
        )
    ]


@schema
class WaterAdministration(dj.Manual):
    definition = """
    # water given, in a session (acquisition.SessionWater) or outside
    -> subject.Subject
    administration_time        : datetime(6)     # UTC
    ---
    water_volume=null          : float64         # mL; null for free access
    -> WaterType
    adlib=0                    : bool            # free access to water
    adlib_end=null             : datetime(6)     # end of free access, UTC; null: of that day only
    -> [nullable] lab.LabMember.proj(water_user='user_name')
    """


@schema
class WaterRestriction(dj.Manual):
    definition = """
    # a period of restricted water
    -> subject.Subject
    restriction_start          : datetime(6)     # UTC
    ---
    restriction_end=null       : datetime(6)     # UTC; null while it lasts
    reference_weight=null      : float64         # g, with implant; null: the last weighing before the start
    """

    class Water(dj.Part):
        definition = """
        # what the animal gets to drink while it lasts
        -> master
        ---
        -> WaterType
        """


@schema
class RestrictionDetail(dj.Manual):
    definition = """
    # who restricted the water of an animal, and why
    -> WaterRestriction
    ---
    -> [nullable] WaterType.proj(restriction_water='water_type')
    -> [nullable] lab.LabMember.proj(restriction_user='user_name')
    restriction_reason=""      : varchar(1000)   # remarks
    end_reason=""              : varchar(255)    # why it ended
    """


@schema
class ProcedureType(dj.Lookup):
    definition = """
    # a kind of procedure
    procedure_type             : varchar(128)    # name
    ---
    procedure_description=""   : varchar(255)    # remarks
    """
    contents = [
        {"procedure_type": name}
        for name in (
            "Behavior training/tasks",
            "Ear punch",
            "Electrophysiology recording with chronic implant",
            "Ephys recording with acute probe(s)",
            "Fiber implant",
            "Headplate implant",
            "Histology",
            "Injection",
            "Imaging",
            "Optical stimulation",
        )
    ]


@schema
class Surgery(dj.Manual):
    definition = """
    # an operation
    -> subject.Subject
    surgery_start              : datetime(6)     # UTC
    ---
    surgery_end=null           : datetime(6)     # UTC
    -> [nullable] lab.LabLocation.proj(surgery_location='location')
    surgery_outcome=""         : varchar(32)     # e.g. acute, recovery, non-recovery
    surgery_narrative=""       : varchar(1000)   # remarks
    surgery_json=null          : json            # what other programs keep with the operation
    """

    class Procedure(dj.Part):
        definition = """
        # what was done
        -> master
        -> ProcedureType
        """

    class Site(dj.Part):
        definition = """
        # a place of the operation
        -> master
        site_number            : int32           # from 1
        ---
        site_ml=null           : float64         # um, right positive, from bregma
        site_ap=null           : float64         # um, anterior positive, from bregma
        site_dv=null           : float64         # um, dorsal positive, from bregma
        site_text=""           : varchar(255)    # what was done there
        """

    class Surgeon(dj.Part):
        definition = """
        # who did it
        -> master
        -> lab.LabMember
        """

    class Implant(dj.Part):
        definition = """
        # what was implanted
        -> master
        ---
        -> subject.Implant
        """


@schema
class VirusInjection(dj.Manual):
    definition = """
    # an injection of a virus
    -> subject.Subject
    injection_time             : datetime(6)     # UTC
    ---
    virus_name                 : varchar(128)
    injection_volume=null      : float64         # nL
    injection_rate=null        : float64         # nL/min
    injection_ml=null          : float64         # um, right positive, from bregma
    injection_ap=null          : float64         # um, anterior positive, from bregma
    injection_dv=null          : float64         # um, dorsal positive, from bregma
    """


@schema
class OtherAction(dj.Manual):
    definition = """
    # anything else that was done
    -> subject.Subject
    action_start               : datetime(6)     # UTC
    ---
    action_end=null            : datetime(6)     # UTC
    action_description=""      : varchar(1000)   # what
    -> [nullable] lab.LabMember.proj(action_user='user_name')
    """

    class Procedure(dj.Part):
        definition = """
        # what was done
        -> master
        -> ProcedureType
        """


@schema
class Note(dj.Manual):
    definition = """
    # a remark on any object
    note_id                    : char(36)
    ---
    note_time                  : datetime(6)     # UTC
    -> [nullable] lab.LabMember.proj(note_user='user_name')
    note_object                : varchar(64)     # table of the object, e.g. subject.Subject
    note_object_id             : char(36)        # uuid of the object, e.g. subject_uuid, eid
    note_text=""               : varchar(4000)
    note_image=""              : varchar(500)    # file of the picture below the data root
    note_json=null             : json            # what other programs keep with the note
    index (note_object_id)
    """


@schema
class DrugAdministration(dj.Manual):
    definition = """
    # a drug that an animal got
    -> subject.Subject
    drug_time                  : datetime(6)     # UTC
    drug_name                  : varchar(128)
    ---
    drug_dose=null             : float64         # in mg, mL, mg per kg or mL per kg, see drug_unit
    drug_unit=""               : varchar(16)     # mg/kg, mg, mL or mL/kg
    drug_route=""              : varchar(32)     # e.g. s.c., i.p., i.m., oral, topical, inhaled
    -> [nullable] lab.LabMember.proj(drug_user='user_name')
    """


@schema
class ProcedureTemplate(dj.Manual):
    definition = """
    # text that a surgery of a kind begins with in a lab
    -> lab.Lab
    -> ProcedureType
    ---
    template_text              : varchar(1000)
    """


@schema
class PlannedTraining(dj.Manual):
    definition = """
    # which animal is trained on which rig, and when
    -> subject.Subject
    planned_date               : date            # in the lab's time zone
    planned_number             : int32           # from 1, on that day
    ---
    planned_start=null         : datetime(6)     # UTC
    planned_minutes=60         : int32
    -> [nullable] lab.LabLocation.proj(planned_location='location')
    -> [nullable] lab.LabMember.proj(planned_user='user_name')
    planned_text=""            : varchar(255)    # remarks
    """


@schema
class WaterHistory(dj.Computed):
    definition = """
    # weight and water of an animal over its life, a row a day in WaterStatus
    -> subject.Subject
    ---
    water_fingerprint          : char(32)        # of all weighings, waters, restrictions and the rules of the lab
    n_restriction_days         : int32           # days under restriction
    last_weighing_date=null    : date            # in the lab's time zone
    """
    rolling = True
    fingerprint = "water_fingerprint"

    class WaterStatus(registry.ByDate, dj.Part):
        definition = """
        # one day: what the animal weighed and drank, and what it should have
        -> master
        session_date               : date            # in the lab's time zone; joins with that of sessions
        ---
        restricted                 : bool            # water was restricted
        weighed                    : bool            # there was a weighing
        day_weight=null            : float64         # last weighing of the day, with implant, g
        day_reference_weight=null  : float64         # with implant, g
        expected_weight=null       : float64         # with implant, g
        weight_pct=null            : float64         # weight over expected weight, both without implant, percent
        water_reward               : float64         # given in sessions, mL
        water_supplement           : float64         # given outside sessions, mL
        day_adlib                  : bool            # free access to water
        expected_water=null        : float64         # needed on that day, mL; null without restriction
        remaining_water=null       : float64         # still due at the end of the day, mL
        underweight                : bool            # below the least weight that the lab allows
        critical                   : bool            # below 75 percent of the expected weight
        """

    @property
    def key_source(self):
        return subject.Subject.proj() & [Weighing.proj(), WaterAdministration.proj(), WaterRestriction.proj()]

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every animal (of `key`) that should have a row now."""
        return water_history.fingerprints_of_water(key or {})

    def make(self, key):
        days = water.water_days(**water_history.water_arguments(key))
        weighings = days.dates[days.weighed].tolist()
        fingerprint = self.current_fingerprints(key)["fingerprint"][0].as_py()
        self.insert1(
            key
            | {
                "water_fingerprint": fingerprint,
                "n_restriction_days": int(days.restricted.sum()),
                "last_weighing_date": weighings[-1] if weighings else None,
            }
        )
        columns = {
            "session_date": days.dates,
            "restricted": days.restricted,
            "weighed": days.weighed,
            "day_weight": days.weight,
            "day_reference_weight": days.reference_weight,
            "expected_weight": days.expected_weight,
            "weight_pct": days.weight_pct,
            "water_reward": days.water_reward,
            "water_supplement": days.water_supplement,
            "day_adlib": days.adlib,
            "expected_water": days.expected_water,
            "remaining_water": days.remaining_water,
            "underweight": days.underweight,
            "critical": days.critical,
        }
        insert_many(self.WaterStatus, key | columns)


WaterStatus = WaterHistory.WaterStatus
