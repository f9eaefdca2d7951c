"""Where the sites of a simulated probe are: on the shank, in the brain, and in which regions of the Allen atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_SITES = 384
_LATERAL = 43.0, 11.0, 59.0, 27.0  # um, of a Neuropixels 1.0 probe, repeated
_PITCH = 20.0  # um between the rows of two sites


@dataclass(frozen=True)
class Track:
    """A straight way into the brain and what lies along it."""

    entry: tuple[float, float, float]  # um from bregma: ML right +, AP anterior +, DV dorsal +
    theta: float  # deg from vertical
    phi: float  # deg, direction in which the upper end leans, counter-clockwise from the right
    depth: float  # um from the entry to the tip
    layers: tuple[tuple[float, str, int], ...]  # lower end (um from the entry), acronym, Allen id

    def positions(self, axial: np.ndarray) -> np.ndarray:
        """ML, AP, DV (um from bregma; n x 3) of places at a distance `axial` (um, n) from the tip."""
        theta, phi = np.deg2rad([self.theta, self.phi])
        upwards = np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
        places = np.array(self.entry) - (self.depth - np.asarray(axial))[:, None] * upwards
        return places.round(1)

    def regions(self, axial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Allen id (int64) and acronym of places at a distance `axial` (um) from the tip; 0, void above the brain."""
        below = self.depth - np.asarray(axial)
        ends, acronyms, ids = zip(*self.layers, strict=True)
        layer = np.searchsorted(ends, below, side="left").clip(max=len(ends) - 1)
        outside = below < 0
        return np.where(outside, 0, np.array(ids, np.int64)[layer]), np.where(
            outside, "void", np.array(acronyms)[layer]
        )

    def trajectory(self) -> dict[str, float]:
        """The track as x, y, z (um from bregma), depth (um), theta, phi and roll (deg)."""
        x, y, z = self.entry
        return {"x": x, "y": y, "z": z, "depth": self.depth, "theta": self.theta, "phi": self.phi, "roll": 0.0}


TRACKS: dict[str, Track] = {
    "posterior": Track(
        entry=(-2243.0, -2000.0, -350.0), theta=15.0, phi=180.0, depth=4000.0,
        layers=(
            (120, "VISa1", 312782550), (350, "VISa2/3", 312782554), (480, "VISa4", 312782558),
            (740, "VISa5", 312782562), (960, "VISa6a", 312782566), (1020, "VISa6b", 312782570), (1140, "alv", 466),
            (1640, "CA1", 382), (1860, "DG-mo", 10703), (1960, "DG-sg", 632), (2140, "DG-po", 10704),
            (2960, "LP", 218), (4000, "PO", 1020),
        ),
    ),
    "anterior": Track(
        entry=(1700.0, 1300.0, -900.0), theta=10.0, phi=0.0, depth=3800.0,
        layers=(
            (130, "MOs1", 656), (420, "MOs2/3", 962), (950, "MOs5", 767), (1350, "MOs6a", 1021), (1420, "MOs6b", 1085),
            (1620, "fa", 956), (3300, "CP", 672), (3800, "ACB", 56),
        ),
    ),
}  # fmt: skip
"""Two ways into the brain: visual cortex, hippocampus and thalamus; motor cortex and striatum."""


def local_coordinates(n_sites: int = N_SITES) -> np.ndarray:
    """Lateral and axial place of each site (um; axial from the tip), as on a Neuropixels 1.0 probe.

    >>> local_coordinates(3).tolist()
    [[43.0, 20.0], [11.0, 20.0], [59.0, 40.0]]
    """
    site = np.arange(n_sites)
    return np.column_stack([np.resize(_LATERAL, n_sites), _PITCH * (1 + site // 2)])
