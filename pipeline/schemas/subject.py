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
