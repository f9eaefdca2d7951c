"""One simulated insertion: the arrays that a sorter and the steps after it leave, and the truth behind them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from . import waveforms
from .track import N_SITES, TRACKS, local_coordinates
from .trains import rate_steps, simulate_train
from .units import Unit, draw_units

SAMPLE_RATE = 30_000.0  # Hz
DEPTH_JITTER = 4.0  # um, standard deviation of the estimated depth of a spike


@dataclass(frozen=True)
class Insertion:
    """What is known of one insertion.

    `objects` maps ALF objects to their attributes: `spikes` (times s, clusters, templates, samples, amps V, depths um
    from the tip), `clusters` (one row per unit: channels, depths um, amps V, peakToTrough ms, waveforms V,
    waveformsChannels), `channels` (localCoordinates um, rawInd, sites, mlapdv um from bregma,
    brainLocationIds_ccf_2017) and `templates`. `metrics` and `uuids` are the columns and the rows of the two tables of
    `clusters`. `truth` is made of what json can hold.
    """

    units: list[Unit]
    objects: dict[str, dict[str, np.ndarray]]
    metrics: dict[str, np.ndarray]
    uuids: list[str]
    truth: dict


def simulate_insertion(
    trials: Mapping[str, np.ndarray] | None = None,
    n_units: int = 50,
    seed: int | np.random.Generator = 0,
    duration: float | None = None,
    units: Sequence[Unit] | None = None,
    track: str = "posterior",
    drift: float = 0.0,
    n_silent: int = 1,
    n_sites: int = N_SITES,
) -> Insertion:
    """Simulate the sorted spikes of one probe in one session.

    Parameters
    ----------
    trials
        The session's trials (house names), to which the units respond; none: no responses.
    n_units, seed
        How many units to draw, and from where; the same arguments give the same arrays.
    duration
        Length of the recording, s; by default until 10 s after the last trial, or 600 s.
    units
        The units themselves, instead of drawn ones.
    track
        Way into the brain, one of `TRACKS`.
    drift
        Speed with which all units move along the probe, um/h, towards its upper end.
    n_silent
        Clusters without a spike, after the units, as merging in a sorter leaves them.
    n_sites
        Recording sites, counted from the tip; units are drawn among them.

    Examples
    --------
    >>> one = simulate_insertion(n_units=3, duration=60.0)
    >>> sorted(one.objects["spikes"]), len(one.truth["units"]), len(one.uuids)
    (['amps', 'clusters', 'depths', 'samples', 'templates', 'times'], 3, 4)
    """
    rng = np.random.default_rng(seed)
    trials = None if trials is None else dict(trials)
    if duration is None:
        duration = 600.0 if trials is None else float(trials["intervals_1"][-1]) + 10
    coordinates = local_coordinates(n_sites)
    if units is None:
        bounds = None if n_sites == N_SITES else (coordinates[0, 1], coordinates[-1, 1])
        units = draw_units(n_units, rng, duration, bounds)
    units, where = list(units), TRACKS[track]
    trains = [simulate_train(unit, trials, duration, SAMPLE_RATE, rng) for unit in units]
    spikes = _spikes(units, trains, duration, drift, rng)
    regions, acronyms = where.regions(coordinates[:, 1])
    channels = {
        "localCoordinates": coordinates,
        "rawInd": np.arange(n_sites),
        "sites": np.arange(n_sites),
        "mlapdv": where.positions(coordinates[:, 1]),
        "brainLocationIds_ccf_2017": regions,
    }
    clusters = _clusters(units, n_silent, spikes, coordinates)
    n_clusters = len(units) + n_silent
    n_spikes = np.bincount(spikes["clusters"], minlength=n_clusters)
    metrics = {
        "cluster_id": np.arange(n_clusters),
        "ks2_label": np.array([unit.label for unit in units] + ["noise"] * n_silent),
        "spike_count": n_spikes,
        "firing_rate": n_spikes / duration,
    }
    uuids = [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(n_clusters)]
    truth = {
        "track": track,
        "trajectory": where.trajectory(),
        "duration": duration,
        "sample_rate": SAMPLE_RATE,
        "drift": drift,
        "n_spikes": int(n_spikes.sum()),
        "n_silent": n_silent,
        "units": [
            asdict(unit)
            | {
                "cluster_id": number,
                "cluster_uuid": uuids[number],
                "channel": int(clusters["channels"][number]),
                "region": str(acronyms[clusters["channels"][number]]),
                "region_id": int(regions[clusters["channels"][number]]),
                "mlapdv": channels["mlapdv"][clusters["channels"][number]].tolist(),
                "peak_to_trough": float(clusters["peakToTrough"][number]),
                "n_spikes": int(n_spikes[number]),
                "n_foreign": int(train.foreign.sum()),
                "n_expected": _expected(unit, trials, duration),
                "present": 1 - sum(min(end, duration) - begin for begin, end in unit.gaps) / duration,
            }
            for number, (unit, train) in enumerate(zip(units, trains, strict=True))
        ],
    }
    templates = {name: clusters[name] for name in ("waveforms", "waveformsChannels")}
    objects = {"spikes": spikes, "clusters": clusters, "channels": channels, "templates": templates}
    return Insertion(units, objects, metrics, uuids, truth)


def _spikes(
    units: list[Unit], trains: list, duration: float, drift: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The spikes of all units in order of time."""
    counts = [len(train.samples) for train in trains]
    samples = np.concatenate([train.samples for train in trains] or [np.zeros(0, np.int64)])
    order = np.argsort(samples, kind="stable")
    samples = samples[order]
    clusters = np.repeat(np.arange(len(units), dtype=np.int32), counts)[order]
    times = samples / SAMPLE_RATE
    scale = np.concatenate([train.scale for train in trains] or [np.zeros(0)])[order]
    depths = np.array([unit.depth for unit in units])[clusters] + drift * (times - duration / 2) / 3600
    return {
        "times": times,
        "clusters": clusters,
        "templates": clusters,
        "samples": samples,
        "amps": 1e-6 * np.array([unit.amplitude for unit in units])[clusters] * scale,
        "depths": (depths + DEPTH_JITTER * rng.standard_normal(len(depths))).round(3),
    }


def _clusters(
    units: list[Unit], n_silent: int, spikes: Mapping[str, np.ndarray], coordinates: np.ndarray
) -> dict[str, np.ndarray]:
    """What is said of each cluster; of silent ones what their template says."""
    silent = [Unit(depth=float(coordinates[len(coordinates) // 2, 1]), amplitude=40.0)] * n_silent
    all_units = [*units, *silent]
    waves = [waveforms.stored(unit, coordinates, SAMPLE_RATE) for unit in all_units]
    n = np.bincount(spikes["clusters"], minlength=len(all_units))
    sums = {
        name: np.bincount(spikes["clusters"], spikes[name], minlength=len(all_units)) for name in ("amps", "depths")
    }
    stated = {"amps": [1e-6 * unit.amplitude for unit in all_units], "depths": [unit.depth for unit in all_units]}
    means = {name: np.where(n > 0, sums[name] / np.maximum(n, 1), stated[name]) for name in sums}
    n_channels = min(waveforms.N_CHANNELS, len(coordinates))
    empty = np.zeros((0, waveforms.N_SAMPLES, n_channels), np.float32), np.zeros((0, n_channels), np.int64)
    return {
        "channels": np.array([sites[0] for _, sites in waves], np.int64),
        **means,
        "peakToTrough": np.array([waveforms.peak_to_trough(wave[:, 0], SAMPLE_RATE) for wave, _ in waves]),
        "waveforms": np.stack([wave for wave, _ in waves]) if waves else empty[0],
        "waveformsChannels": np.stack([sites for _, sites in waves]) if waves else empty[1],
    }


def _expected(unit: Unit, trials: dict[str, np.ndarray] | None, duration: float) -> float:
    """Expected number of detected spikes."""
    edges, rates = rate_steps(unit, trials, duration)
    return float(np.sum(np.diff(edges) * rates))
