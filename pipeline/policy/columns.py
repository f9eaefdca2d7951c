"""Which tables and which of their text columns may leave, as data. What is not named here stays: a new column too.

Numbers, choices and truth values of a table that may leave go with it; dates follow the policy.
"""

from __future__ import annotations

TABLES = (
    "lab.Lab",
    "lab.Project",
    "subject.Species",
    "subject.Strain",
    "subject.Source",
    "subject.Zygosity",
    "subject.CullMethod",
    "subject.CullReason",
    "subject.Sequence",
    "subject.Allele",
    "subject.Allele.TestedBy",
    "subject.Line",
    "subject.Line.Carries",
    "subject.Subject",
    "subject.SubjectProject",
    "subject.Genotype",
    "subject.GenotypeTest",
    "subject.Housing",
    "subject.Cull",
    "subject.Implant",
    "action.Weighing",
    "action.WaterType",
    "action.WaterAdministration",
    "action.WaterRestriction",
    "action.ProcedureType",
    "action.Surgery",
    "action.Surgery.Procedure",
    "action.VirusInjection",
    "acquisition.Session",
    "acquisition.SessionTask",
    "acquisition.ChildSession",
    "acquisition.SessionProject",
    "acquisition.SessionProcedure",
    "acquisition.SessionWater",
    "data.DatasetType",
    "data.DataFormat",
    "data.Revision",
    "data.Tag",
    "data.Dataset",
    "data.DatasetTag",
    "data.AlfObject",
    "ephys.ProbeModel",
    "ephys.Probe",
    "ephys.ProbeInsertion",
    "ephys.Recording",
    "ephys.ChannelMap",
    "ephys.Sorter",
    "ephys.Clustering",
    "ephys.DefaultClustering",
    "histology.CoordinateSystem",
    "histology.Provenance",
    "histology.Trajectory",
)
"""In order of dependency: the rows that people and files brought in. Computed rows are computed again from them."""

_TEXT = """
labs, projects, vocabularies:
lab lab_name institution time_zone project species species_nickname strain source zygosity cull_method cull_reason
sequence base_pairs allele standard_name line target_phenotype water_type procedure_type
animals:
subject subject_uuid light_cycle food housing_light_cycle housing_food cage_type enrichment virus_name surgery_outcome
sessions:
eid task_protocol session_type task_collection protocol raw_collection extended_qc parent_lab parent_subject
datasets:
dataset_type filename_pattern data_format file_extension revision tag dataset_id rel_path collection alf_object
alf_attribute extension dataset_revision dataset_hash object_collection object_name object_fingerprint accepted_columns
refused_columns
probes, sortings, places:
probe_model probe_manufacturer probe_serial probe_label pid map_channels map_lateral map_axial map_shank
map_volts_per_bit sorter clustering clustering_collection clustering_revision clustering_fingerprint clustering_files
clustering_refused clustering_reading chosen_clustering coordinate_system origin provenance
"""

TEXT = frozenset(word for line in _TEXT.splitlines() if not line.endswith(":") for word in line.split())
"""Text columns that may leave, by name (a name means the same in all tables)."""

SUBJECTS = ("subject", "parent_subject")
"""Columns that name an animal."""

DATES_ALONE = frozenset({"registered"})
"""Times of work on the data rather than of the experiment: they leave as the day of the session."""
