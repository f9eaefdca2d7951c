"""Simulated probe insertions of which all is known: units with rates, tuning, contamination, gaps, drift and regions.

`simulate_insertion` makes the arrays that a sorter and the steps after it leave, `write_insertion` the ALF files below
`alf/probe00`, and `write_recording` the raw samples with those units' waveforms, with a SpikeGLX header beside them.
"""

from .files import write_insertion
from .insertion import Insertion, simulate_insertion
from .recording import write_recording
from .track import TRACKS, Track
from .units import Response, Unit, draw_units

__all__ = [
    "TRACKS",
    "Insertion",
    "Response",
    "Track",
    "Unit",
    "draw_units",
    "simulate_insertion",
    "write_insertion",
    "write_recording",
]
