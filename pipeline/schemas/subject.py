"""The animals: who they are, where they come from, how they are kept and how they end."""

import datajoint as dj

from pipeline.database import registry
from pipeline.schemas import lab  # noqa: F401 - parents of foreign keys

schema = registry.schema(__name__)


@schema
class Species(dj.Lookup):
    definition = """
    # a species
    species                    : varchar(64)     # binomial name
    ---
    species_nickname=""        : varchar(64)     # what people say
    """
    contents = [
        {"species": "Mus musculus", "species_nickname": "mouse"},
        {"species": "Rattus norvegicus", "species_nickname": "rat"},
    ]


@schema
class Strain(dj.Lookup):
    definition = """
    # an inbred strain
    strain                     : varchar(128)    # name
    ---
    strain_description=""      : varchar(255)    # remarks
    """
    contents = [{"strain": "C57BL/6J"}]


@schema
class Source(dj.Lookup):
    definition = """
    # where animals come from
    source                     : varchar(128)    # breeder or institution
    ---
    source_description=""      : varchar(255)    # remarks
    """


@schema
class Zygosity(dj.Lookup):
    definition = """
    # how many copies of an allele
    zygosity                   : varchar(32)     # name
    """
    contents = [{"zygosity": name} for name in ("Absent", "Heterozygous", "Homozygous", "Present")]


@schema
class CullMethod(dj.Lookup):
    definition = """
    # how an animal is killed
    cull_method                : varchar(64)     # name
    """
    contents = [{"cull_method": name} for name in ("CO2", "cervical dislocation", "perfusion", "overdose")]


@schema
class CullReason(dj.Lookup):
    definition = """
    # why an animal is killed
    cull_reason                : varchar(64)     # name
    """
    contents = [{"cull_reason": name} for name in ("end of experiment", "health", "surplus", "time limit reached")]


@schema
class Sequence(dj.Manual):
    definition = """
    # a DNA sequence that a genotype test looks for
    sequence                   : varchar(128)    # name
    ---
    base_pairs=""              : varchar(1024)   # the bases
    sequence_description=""    : varchar(255)    # remarks
    """


@schema
class Allele(dj.Manual):
    definition = """
    # an allele
    allele                     : varchar(128)    # short name
    ---
    standard_name=""           : varchar(255)    # name by the MGI convention
    """

    class TestedBy(dj.Part):
        definition = """
        # the sequences that show the allele
        -> master
        -> Sequence
        """


@schema
class Line(dj.Manual):
    definition = """
    # a breeding line
    line                       : varchar(128)    # name
    ---
    -> [nullable] Species
    -> [nullable] Strain
    line_description=""        : varchar(1000)   # remarks
    target_phenotype=""        : varchar(255)    # what it is bred for
    line_active=1              : bool            # is bred now
    line_nickname=""           : varchar(32)     # begins the names of its animals, pairs and litters
    strain_code=""             : varchar(64)     # of the animal facility
    source_url=""              : varchar(500)    # where it is described
    expression_url=""          : varchar(500)    # where its expression is shown
    name_pattern=""            : varchar(64)     # of its animals, e.g. {nickname}_{number:04d}
    last_animal=0              : int32           # counter of names
    last_pair=0                : int32           # counter of names
    last_litter=0              : int32           # counter of names
    """

    class Carries(dj.Part):
        definition = """
        # the alleles of the line
        -> master
        -> Allele
        """


@schema
class Subject(dj.Manual):
    definition = """
    # an animal: the folder below lab/Subjects
    -> lab.Lab
    subject                    : varchar(64)     # nickname, as in the paths
    ---
    subject_uuid               : char(36)        # given, or derived from lab and nickname
    sex="U"                    : enum('M', 'F', 'U')  # male, female, unknown
    birth_date=null            : date
    death_date=null            : date
    wean_date=null             : date
    -> [nullable] Species
    -> [nullable] Line
    -> [nullable] Strain
    -> [nullable] Source
    -> [nullable] lab.LabMember.proj(responsible_user='user_name')
    ear_mark=""                : varchar(32)
    protocol_number=""         : varchar(64)     # of the animal licence
    cage=""                    : varchar(64)     # where it lives now
    light_cycle=""             : varchar(32)     # normal, inverted; empty: as the lab says
    food=""                    : varchar(64)     # name of the food
    food_protein=null          : float64         # protein in the food, percent of its mass; null: as the lab says
    weekend_water=""           : varchar(64)     # on days off: measured, citric acid, free; empty: as the lab says
    subject_description=""     : varchar(1000)   # remarks
    subject_json=null          : json            # what other programs keep with the animal
    to_be_genotyped=0          : bool            # is on the list of animals to genotype
    to_be_culled=0             : bool            # is on the list of animals to cull
    genotype_date=null         : date            # when the sample was taken or the result known
    reduced_date=null          : date            # when the animal was taken out of the stock
    actual_severity=null       : int32           # 1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery
    unique index (subject_uuid)
    """


@schema
class SubjectProject(dj.Manual):
    definition = """
    # the projects that an animal takes part in
    -> Subject
    -> lab.Project
    """


@schema
class BreedingPair(dj.Manual):
    definition = """
    # parents
    breeding_pair              : varchar(64)     # name
    ---
    -> [nullable] Line
    pair_start=null            : date            # first day together
    pair_end=null              : date            # last day together
    pair_description=""        : varchar(255)    # remarks
    """

    class Parent(dj.Part):
        definition = """
        # a father or a mother
        -> master
        -> Subject
        ---
        parent_role            : enum('father', 'mother')
        """


@schema
class Litter(dj.Manual):
    definition = """
    # animals born together
    litter                     : varchar(64)     # name
    ---
    -> [nullable] BreedingPair
    litter_birth_date=null     : date
    litter_description=""      : varchar(255)    # remarks
    n_born=null                : int32           # pups that were born
    n_weaned=null              : int32           # pups that were weaned
    litter_wean_date=null      : date            # when they were weaned
    """

    class Pup(dj.Part):
        definition = """
        # an animal of the litter
        -> Subject
        ---
        -> master
        """


@schema
class Genotype(dj.Manual):
    definition = """
    # the alleles of an animal
    -> Subject
    -> Allele
    ---
    -> Zygosity
    genotype_origin="entered"  : varchar(16)     # entered, tests or parents; what follows from tests goes with them
    """


@schema
class ZygosityRule(dj.Manual):
    definition = """
    # which test results of an animal of a line mean which zygosity
    -> Line
    -> Allele
    rule_number                : int32           # from 1, within the line and the allele
    ---
    -> Zygosity
    """

    class Result(dj.Part):
        definition = """
        # a result that the rule asks for
        -> master
        -> Sequence
        ---
        rule_result            : enum('Absent', 'Present')
        """


@schema
class GenotypeTest(dj.Manual):
    definition = """
    # the result of a test
    -> Subject
    -> Sequence
    genotype_test_date         : date
    ---
    test_result                : enum('Absent', 'Present')
    """


@schema
class Housing(dj.Manual):
    definition = """
    # where an animal lived, and with what
    -> Subject
    housing_start              : date            # first day
    ---
    housing_end=null           : date            # last day
    cage_name=""               : varchar(64)
    cage_type=""               : varchar(64)
    enrichment=""              : varchar(64)
    housing_light_cycle=""     : varchar(32)     # e.g. normal, inverted
    housing_food=""            : varchar(64)
    """


@schema
class Cage(dj.Manual):
    definition = """
    # a cage of a lab; Housing says who lived in it
    -> lab.Lab
    cage_label                 : varchar(64)     # name on the card
    ---
    cage_room=""               : varchar(128)    # room
    cage_rack=""               : varchar(64)     # rack
    cage_row=""                : varchar(16)     # row in the rack
    cage_column=""             : varchar(16)     # column in the rack
    cage_kind=""               : varchar(64)     # type of the cage
    cage_enrichment=""         : varchar(64)     # what is in it
    cage_light_cycle=""        : varchar(32)     # e.g. normal, inverted
    cage_food=""               : varchar(64)
    cage_in_use=1              : bool            # false once it was given up
    """


@schema
class Plug(dj.Manual):
    definition = """
    # a check for a vaginal plug
    -> BreedingPair
    plug_date                  : date
    ---
    plug_mother=""             : varchar(64)     # which mother, where there are several
    plug_seen=1                : bool            # a plug was there
    """


@schema
class SubjectRequest(dj.Manual):
    definition = """
    # animals that a person asks for
    request_id                 : char(36)
    ---
    -> lab.Lab
    -> [nullable] Line
    -> lab.LabMember.proj(request_user='user_name')
    request_count              : int32           # how many animals
    request_date               : date            # when it was made
    request_due=null           : date            # when they are needed
    request_text=""            : varchar(1000)   # sex, age, genotype, purpose
    request_status="open"      : enum('open', 'answered', 'declined', 'closed')
    request_answer=""          : varchar(1000)   # what the stock manager says
    -> [nullable] lab.LabMember.proj(request_manager='user_name')
    """


@schema
class RequestedSubject(dj.Manual):
    definition = """
    # an animal that was assigned to a request
    -> SubjectRequest
    -> Subject
    """


@schema
class Protocol(dj.Manual):
    definition = """
    # an approved protocol with its limits
    approved_protocol          : varchar(64)     # number of the licence or protocol
    ---
    protocol_title=""          : varchar(255)
    severity_limit=3           : int32           # 1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery
    protocol_end=null          : date            # last day on which it may be used
    animal_limit=0             : int32           # most animals; 0: not limited
    operation_limit=0          : int32           # most operations of an animal; 0: not limited
    injection_limit=0          : float64         # most that is injected into the brain of an animal, nL; 0: not limited
    drug_volume_limit=0        : float64         # most volume of a drug at once, mL/kg; 0: not limited
    """


@schema
class AdverseEffect(dj.Manual):
    definition = """
    # harm that was observed in an animal
    -> Subject
    effect_date                : date
    effect_number              : int32           # from 1, on that day
    ---
    effect_severity=null       : int32           # 1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery
    effect_text                : varchar(1000)   # what was seen and done
    -> [nullable] lab.LabMember.proj(effect_user='user_name')
    """


@schema
class GrowthCurve(dj.Manual):
    definition = """
    # weights of healthy animals by age, for the z-score weight
    growth_curve               : varchar(64)     # name
    ---
    growth_rule="step"         : enum('step', 'interpolate')  # by whole weeks as in Alyx, or between weeks
    growth_origin=""           : varchar(255)    # where the figures are from
    """

    class Week(dj.Part):
        definition = """
        # one sex at one age
        -> master
        curve_sex              : char(1)         # M or F
        age_weeks              : int32           # whole weeks since birth
        ---
        growth_mean            : float64         # g
        growth_sd              : float64         # g
        growth_n=0             : int32           # animals behind the figure; 0: not known
        """


@schema
class GrowthCurveUse(dj.Manual):
    definition = """
    # which curve a lab uses, for all lines or for one
    -> lab.Lab
    growth_line                : varchar(128)    # name of the line, or any
    ---
    -> GrowthCurve
    """


@schema
class Cull(dj.Manual):
    definition = """
    # the end of an animal
    -> Subject
    ---
    cull_date                  : date
    -> [nullable] CullMethod
    -> [nullable] CullReason
    -> [nullable] lab.LabMember.proj(cull_user='user_name')
    cull_description=""        : varchar(1000)   # remarks
    """


@schema
class Implant(dj.Manual):
    definition = """
    # what an animal carries; its weight is taken off every weighing
    -> Subject
    implant_date               : date            # day of implantation
    ---
    implant_weight             : float64         # g
    implant_description=""     : varchar(255)    # e.g. headplate
    """
