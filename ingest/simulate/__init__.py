"""A simulated lab whose every parameter is known: mice that learn, drink and turn wheels, as files from a rig.

`write_lab(root)` makes, below `root`::

    <lab>/Subjects/<subject>/<date>/<number>/alf/…        trials in four forms, wheel, licks, camera times
    <lab>/Subjects/<subject>/<date>/<number>/alf/probe*/… spikes, clusters, channels, templates (sessions with probes)
    <lab>/Subjects/<subject>/<date>/<number>/raw_*/…      iblrig task settings; for iblrig 8 also the description yaml
    subjects.csv weighings.csv water.csv restrictions.csv sessions.json; trajectories.csv where probes record
    truth.json truth/<subject>_<date>_<number>.npz        what generated it; not data, outside any session folder

The lab's time zone is UTC. Columns of the tables (an empty field is an unknown value):

========================  ==============================================================================================
subjects.csv              lab, subject, subject_uuid, sex (M, F), birth_date, death_date (empty: alive), species, line,
                          strain, source, responsible_user, projects (comma-separated), protocol_number, cage, ear_mark,
                          description, reference_weight (g), implant_weight (g)
weighings.csv             lab, subject, weighing_time (ISO, UTC), weight (g), user
water.csv                 lab, subject, administration_time (ISO, UTC), volume (mL; empty where ad libitum water was not
                          measured), water_type, adlib (0 or 1), user, session_number (of that subject and date; empty:
                          not given in a session)
restrictions.csv          lab, subject, start_time (ISO, UTC), end_time (empty: goes on), reference_weight (g)
trajectories.csv          lab, subject, session_date, session_number, probe, provenance, x, y, z (um from bregma), depth
                          (um), theta, phi, roll (deg): planned, micro_manipulator, and ephys_aligned, the true ones
sessions.json             session path -> eid (version 4), start_time (ISO), task_protocol, users, projects; for 7 of 10
                          sessions
========================  ==============================================================================================

`truth.json` has, per mouse, its generating parameters and the first date of each stage; per session its path, eid (or
null), form, stage, phase, n_trials, n_correct, water (mL), n_moves, the generating psychometric function of each block
(percent) and the generating median reaction time (s) by absolute contrast (percent; over responded trials); and under
`damaged` and `damaged_insertions` what an ingest must say of damaged sessions. Under `insertions` it has, per probe,
its session's path, track, trajectory (um from bregma, deg), duration (s), drift (um/h) and `units`: all that generated
each (see `ephys.units`), with its region, site, numbers of spikes and of those of others, and the number expected.
A `truth/*.npz` holds onsets, offsets (s: first and last encoder tick of each wheel movement) and amplitudes (rad,
signed, anti-clockwise positive).
"""

from .bulk import write_many
from .colony import write_lab
from .mice import KINDS, Mouse
from .session import Psychometric, SessionParams, signed_contrast, simulate_trials
from .wheel import Wheel, simulate_wheel

__all__ = [
    "KINDS",
    "Mouse",
    "Psychometric",
    "SessionParams",
    "Wheel",
    "signed_contrast",
    "simulate_trials",
    "simulate_wheel",
    "write_lab",
    "write_many",
]
