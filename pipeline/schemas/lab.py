"""Labs, their members and rooms, and the projects that they work on."""

import datajoint as dj

from pipeline.database import registry

schema = registry.schema(__name__)


@schema
class Lab(dj.Manual):
    definition = """
    # a lab: the first folder of its ALF tree
    lab                        : varchar(32)     # short name, as in the paths
    ---
    lab_name=""                : varchar(255)    # full name
    institution=""             : varchar(255)    # university or institute
    address=""                 : varchar(255)    # postal address
    time_zone="UTC"            : varchar(64)     # IANA name, e.g. Europe/London; times in the tables are UTC
    reference_weight_pct=0.85  : float64         # least weight allowed, fraction of the reference weight
    zscore_weight_pct=0        : float64         # share of the z-score weight in the expected weight, 0-1
    lab_light_cycle=""         : varchar(32)     # of animals that state none: normal, inverted
    lab_food_protein=null      : float64         # protein in the food of animals that state none, percent of its mass
    lab_weekend_water=""       : varchar(64)     # on days off, of animals that state none: measured, citric acid, free
    """


@schema
class LabMember(dj.Manual):
    definition = """
    # a person
    user_name                  : varchar(64)     # short name that people type
    ---
    full_name=""               : varchar(255)    # given and family name
    email=""                   : varchar(255)    # e-mail address
    member_active=1            : bool            # works here now
    """


@schema
class LabMembership(dj.Manual):
    definition = """
    # who belongs to which lab
    -> Lab
    -> LabMember
    ---
    lab_role=""                : varchar(64)     # e.g. PI, student, technician
    membership_start=null      : date            # first day
    membership_end=null        : date            # last day
    """


@schema
class Delegate(dj.Manual):
    definition = """
    # who may act for whom: a delegate may do with the animals of the principal what the principal may
    -> LabMember.proj(principal='user_name')
    -> LabMember.proj(delegate='user_name')
    """


@schema
class HusbandryRules(dj.Manual):
    definition = """
    # what a lab has decided about the care of its animals; a lab without a row has the defaults
    -> Lab
    ---
    near_limit_points=2        : float64         # percentage points above the least weight at which people are told
    critical_weight_pct=0.75   : float64         # fraction of the expected weight below which restriction must end
    water_due_hour=18          : int32           # hour of the day at which water still due is reported, lab time
    weigh_due_hour=14          : int32           # hour of the day at which a missing weighing is reported, lab time
    longest_restriction=0      : int32           # days; longer restrictions are reported; 0: no limit
    wean_age=21                : int32           # days after birth at which a litter is weaned
    genotype_age=28            : int32           # days after birth at which a genotype should be known
    surplus_age=210            : int32           # days after which an animal without a purpose is listed as ageing
    digest_hour=7              : int32           # hour of the day of the digest, lab time
    veterinarian=""            : varchar(255)    # e-mail address that gets what nobody acknowledged
    """


@schema
class LabLocation(dj.Manual):
    definition = """
    # a rig or a room of a lab
    -> Lab
    location                   : varchar(128)    # name of the rig or room
    ---
    location_description=""    : varchar(255)    # what stands there
    """


@schema
class Project(dj.Manual):
    definition = """
    # a project, within a lab or across labs
    project                    : varchar(128)    # short name
    ---
    project_description=""     : varchar(1000)   # aim
    """

    class Member(dj.Part):
        definition = """
        # who works on the project
        -> master
        -> LabMember
        """
