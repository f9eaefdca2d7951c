"""Writes what is recorded beside the trials, in each form in which rigs and extractors leave it.

Licks, frames of cameras, the pupil, the passive periods after a recording, and fibre photometry. Each writer takes the
truth and the name of a form; all forms of one truth say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

ARRAY_FORMS = ("npy", "column", "float32", "csv", "plain")
"""How times are stored: float64 of shape (n,); (n, 1), as MATLAB exports them; float32; text; without a namespace."""
PUPIL_FORMS = ("both", "raw", "csv", "failed")
"""Raw and smoothed diameters; raw ones only; as text; and a smoothed column in which nothing was found."""
PASSIVE_FORMS = ("csv", "pqt", "long")
"""A column for each period and the rows start and stop, as text or as a table; and a row for each period."""
PHOTOMETRY_FORMS = ("signal", "include", "regions", "array", "system", "state", "flags")
"""In the clock of the session: with `valid`, or with `include` as it was called before, with columns named by region,
or as arrays of one light; by the device's clock: as versions 5, 2 and 1 of the files of an FP3002."""
ON_DEVICE_CLOCK = PHOTOMETRY_FORMS[4:]

DEVICE_OFFSET = 227.25
"""What the clock of the simulated FP3002 shows when the session starts, s."""


def lick_times(trials: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Times (s) of a bout of 3 to 9 licks at about 7 Hz after each reward, and a few at other times."""
    rewarded = trials["feedback_times"][trials["feedback_type"] == 1]
    n_licks = rng.integers(3, 10, len(rewarded))
    steps = rng.normal(0.14, 0.015, n_licks.sum()).clip(min=0.08)
    in_bout = np.cumsum(steps) - np.repeat(np.cumsum(steps)[np.cumsum(n_licks) - 1], n_licks)  # s before the last lick
    bout = np.repeat(rewarded + 0.1, n_licks) + in_bout + np.repeat(n_licks * 0.15, n_licks)
    alone = rng.uniform(0, trials["intervals_1"][-1], len(rewarded) // 10)
    return np.sort(np.concatenate([bout, alone]))


def frame_times(duration: float, rng: np.random.Generator, rate: float = 30.0) -> np.ndarray:
    """Times (s) of the frames of a camera at `rate` Hz with a jitter of 50 us."""
    times = np.arange(0.2, duration, 1 / rate)
    return times + rng.uniform(-5e-5, 5e-5, len(times))


def write_licks(alf: Path, times: np.ndarray, form: str = "npy") -> None:
    """Write `licks.times`, in one of `ARRAY_FORMS`; only `float32` loses digits, up to 0.2 ms in an hour."""
    _write_array(alf, "_ibl_licks.times" if form == "float32" else "licks.times", times, form)


def write_camera(alf: Path, times: np.ndarray, camera: str = "left", form: str = "npy") -> None:
    """Write the times of the frames of a camera, in one of `ARRAY_FORMS`."""
    _write_array(alf, f"{'' if form == 'plain' else '_ibl_'}{camera}Camera.times", times, form)


def write_pupil(alf: Path, diameter: np.ndarray, camera: str = "left", form: str = "both") -> None:
    """Write `Camera.features` with the diameter of the pupil (px; NaN where it was not found), see `PUPIL_FORMS`."""
    columns = {"pupilDiameter_raw": diameter}
    if form in ("both", "csv", "failed"):
        columns["pupilDiameter_smooth"] = np.full_like(diameter, np.nan) if form == "failed" else diameter
    table = pd.DataFrame(columns)
    if form == "csv":
        table.to_csv(alf / f"_ibl_{camera}Camera.features.csv", index=False)
    else:
        table.to_parquet(alf / f"_ibl_{camera}Camera.features.pqt", index=form == "raw")


def write_passive_periods(alf: Path, periods: Mapping[str, tuple[float, float]], form: str = "csv") -> None:
    """Write `passivePeriods.intervalsTable`: name of each period -> start and end (s), see `PASSIVE_FORMS`."""
    table = pd.DataFrame(periods, index=["start", "stop"])
    if form == "long":
        table = table.T
    path = alf / f"_ibl_passivePeriods.intervalsTable.{'pqt' if form == 'pqt' else 'csv'}"
    table.to_parquet(path) if form == "pqt" else table.to_csv(path)


def fluorescence(trials: Mapping[str, np.ndarray], rng: np.random.Generator, rate: float = 60.0) -> pd.DataFrame:
    """The frames of a recording that alternates between two lights, of two sites: `times`, `wavelength`, `DMS`, `NAcc`.

    Under 470 nm `DMS` rises by 20 % for half a second after each reward; `NAcc`, and both under 415 nm, do not.
    """
    start, end = float(trials["intervals_0"][0]) - 5, float(trials["intervals_1"][-1]) + 5
    times = np.arange(start, end, 1 / rate)
    wavelength = np.where(np.arange(times.size) % 2 == 0, 415.0, 470.0)
    rewarded = trials["feedback_times"][trials["feedback_type"] == 1]
    last = np.searchsorted(rewarded, times, side="right") - 1
    since = (
        np.where(last >= 0, times - rewarded[last.clip(0)], np.inf) if rewarded.size else np.full(times.size, np.inf)
    )
    rise = np.where((wavelength == 470) & (since < 0.5), 0.2, 0.0)
    noise = 1 + 0.01 * rng.standard_normal((2, times.size))
    columns = {"DMS": 0.009 * (1 + rise) * noise[0], "NAcc": 0.013 * noise[1]}
    return pd.DataFrame({"times": times, "wavelength": wavelength, **columns})


def write_photometry(session: Path, frames: pd.DataFrame, form: str = "signal") -> None:
    """Write the frames of `fluorescence` below a session folder, in one of `PHOTOMETRY_FORMS`.

    The forms of the device begin with a frame under all lights, as an FP3002 does, and `signal` and `include` mark
    frames before the first and after the last trial as not valid.
    """
    alf = session / "alf" / "photometry"
    sites = ["Region0G", "Region1G"] if form in ("include", "flags", "state") else ["G0", "G1"]
    named = dict(zip(["DMS", "NAcc"], sites, strict=True))
    if form in ON_DEVICE_CLOCK:
        folder = session / "raw_photometry_data"
        folder.mkdir(parents=True, exist_ok=True)
        first = frames.iloc[:1].assign(times=frames["times"].iloc[0] - 1 / 60, wavelength=0.0)
        rows = pd.concat([first, frames], ignore_index=True).rename(columns=named)
        lights = rows.pop("wavelength").map({0.0: 7, 415.0: 1, 470.0: 2}).astype(int)
        lights += 16 * (np.arange(len(rows)) % 97 == 5)  # an output that is on, which says nothing about the lights
        times = rows.pop("times") + DEVICE_OFFSET
        stamp = {"system": "SystemTimestamp"}.get(form, "Timestamp")
        state = {"flags": "Flags"}.get(form, "LedState")
        table = pd.DataFrame({"FrameCounter": np.arange(len(rows)), stamp: times, state: lights})
        if form == "system":
            table["ComputerTimestamp"] = 57781995.968 + 1000 * times
        table = pd.concat([table, rows], axis=1)
        if form == "system":
            table.to_parquet(folder / "_neurophotometrics_fpData.raw.pqt")
        else:
            table.to_csv(folder / "_neurophotometrics_fpData.raw.csv", index=False)
        return
    alf.mkdir(parents=True, exist_ok=True)
    if form == "array":  # one light
        lit = frames[frames["wavelength"] == 470]
        np.save(alf / "photometry.signal.npy", lit[["DMS", "NAcc"]].to_numpy())
        np.save(alf / "photometry.times.npy", lit["times"].to_numpy())
        return
    names = {415.0: ("Isosbestic", "Violet"), 470.0: ("GCaMP", "Blue")}
    table = frames if form == "regions" else frames.rename(columns=named)
    table = table.assign(
        name=[names[wavelength][0] for wavelength in table["wavelength"]],
        color=[names[one][1] for one in table["wavelength"]],
    )
    table["include" if form == "include" else "valid"] = True
    unlit = table.iloc[:1].assign(times=table["times"].iloc[0] - 1 / 60, wavelength=np.nan, name="", color="")
    late = table.iloc[-2:].assign(times=table["times"].iloc[-2:] + 1000.0)
    late["include" if form == "include" else "valid"] = False
    pd.concat([unlit, table, late], ignore_index=True).to_parquet(alf / "photometry.signal.pqt")
    if form == "regions":
        return
    places = pd.DataFrame({"ROI": sites, "fiber": ["fiber_DMS", "fiber_NAcc"], "brain_region": ["DMS", "NAcc"]})
    places = places.set_index("ROI") if form == "signal" else places.set_index("ROI").rename_axis(None)
    places.to_parquet(alf / "photometryROI.locations.pqt")


def _write_array(alf: Path, stem: str, values: np.ndarray, form: str) -> None:
    alf.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        pd.DataFrame({"times": values}).to_csv(alf / f"{stem}.csv", index=False)
    else:
        shaped = values.reshape(-1, 1) if form == "column" else values.astype("f4") if form == "float32" else values
        np.save(alf / f"{stem}.npy", shaped)
