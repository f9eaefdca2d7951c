"""Unit metrics as their definitions read, unit by unit and spike by spike: slow, and what the fast ones must equal."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import poisson

REFRACTORY, CENSORED, RATE = 0.0015, 0.0001, 30_000.0  # s, s, Hz


def metrics(times, amps, depths, start, end):
    """All metrics of one unit; times s, amps uV, depths um."""
    times, amps, depths = (np.asarray(x, dtype=float) for x in (times, amps, depths))
    inside = (times >= start) & (times <= end)
    times, amps, depths = times[inside], amps[inside], depths[inside]
    duration = end - start if end > start else np.nan
    windows = np.zeros(max(int((end - start) / 10 + 1e-9), 1))
    for t in times:
        if int((t - start) / 10) < windows.size:
            windows[int((t - start) / 10)] += 1
    out = {
        "n_spikes": times.size,
        "firing_rate": times.size / duration,
        "presence_ratio": np.mean(windows > 0),
        "presence_ratio_std": np.std(windows),
    }
    out |= refractory(times, duration) | sliding(times) | amplitude(amps[np.isfinite(amps) & (amps > 0)])
    known = ~np.isnan(depths)
    way = np.abs(np.diff(depths[known])).sum() if known.any() else np.nan
    interval = ((times[known] - start) / 60).astype(int)
    medians = [np.median(depths[known][interval == i]) for i in np.unique(interval) if np.sum(interval == i) >= 100]
    out["drift"] = way / duration * 3600
    out["drift_ptp"] = np.ptp(medians) if len(medians) > 1 else np.nan
    decisive = [out["refractory_confidence"], out["noise_cutoff"], out["amp_median"]]
    passes = [decisive[0] >= 90, decisive[1] < 5, decisive[2] > 50]
    out["ibl_label"] = np.nan if np.isnan(decisive).any() else np.mean(passes, dtype=float)
    return out


def refractory(times, duration):
    """Violations after Hill et al. (2011) and Llobet et al. (2022)."""
    n = times.size
    if n == 0:
        return {"isi_violations_hill": np.nan, "isi_violations_llobet": np.nan}
    kept = np.delete(times, np.flatnonzero(np.diff(times) <= CENSORED) + 1)
    violations = np.sum(np.diff(kept) < REFRACTORY)
    hill = violations / (2 * kept.size * (REFRACTORY - CENSORED)) / (kept.size / duration)
    pairs = 0
    for i in range(n):
        for j in range(i):
            pairs += CENSORED < times[i] - times[j] < REFRACTORY
    pure = 1 - pairs * (duration - 2 * n * CENSORED) / (n**2 * (REFRACTORY - CENSORED))
    llobet = np.nan if np.isnan(pure) else min(max(1 - np.sqrt(max(pure, 0)), 0), 1)
    return {"isi_violations_hill": hill, "isi_violations_llobet": llobet}


def sliding(times):
    """The sliding refractory period: every period, every contamination."""
    n = times.size
    samples = (times * RATE).astype(int)
    lags = np.zeros(300, dtype=int)
    far = 0
    for i in range(n):
        for later in samples[i + 1 :] - samples[i]:
            if later < 300:
                lags[later] += 1
            far += RATE <= later < 2 * RATE
    periods = np.arange(300) / RATE + 0.5 / RATE
    below = lags[: np.flatnonzero(periods > 0.002)[0] + 1].sum()
    if n == 0:
        return {
            "refractory_confidence": np.nan,
            "refractory_contamination": np.nan,
            "n_spikes_below_2ms": 0,
            "refractory_pass": False,
        }
    levels = np.arange(0.5, 35, 0.5)
    confidence = np.zeros((levels.size, 300))
    for i, level in enumerate(levels):
        expected = far / n * level / 100 * (periods + 0.5 / RATE) * 2 * n
        confidence[i] = 100 * (1 - poisson.cdf(np.cumsum(lags), expected))
    confidence = confidence[:, periods > 0.0005]
    enough = np.flatnonzero((confidence >= 90).any(axis=1))
    contamination = levels[enough[0]] if enough.size else np.nan
    return {
        "refractory_confidence": confidence[levels == 10].max(),
        "refractory_contamination": contamination,
        "n_spikes_below_2ms": below,
        "refractory_pass": bool(contamination <= 10),
    }


def amplitude(amps):
    """Statistics of the amplitudes, and what their histograms say of missed spikes."""
    n = amps.size
    decibel = 20 * np.log10(amps)
    return {
        "amp_min": amps.min() if n else np.nan,
        "amp_max": amps.max() if n else np.nan,
        "amp_median": 10 ** (np.median(decibel) / 20) if n else np.nan,
        "amp_std_db": decibel.std(ddof=1) if n > 1 else np.nan,
        "noise_cutoff": noise_cutoff(amps),
        "missed_spikes": missed_spikes(amps),
        "amplitude_cutoff": amplitude_cutoff(amps),
    }


def noise_cutoff(amps):
    """Second lowest occupied bin against the upper half of those above the peak."""
    if amps.size < 2:
        return np.nan
    counts = np.histogram(amps, np.linspace(0, amps.max(), 100))[0]
    peak = np.argmax(counts)
    begin = int(np.ceil(0.5 * np.sum(counts[peak:-1] > 0) + peak))
    high = counts[begin:]
    high = high[high > 0]
    if high.size == 0 or np.std(high) == 0:
        return np.nan
    return (counts[counts > 0][1] - high.mean()) / np.std(high)


def missed_spikes(amps):
    """Share of the smoothed histogram beyond the point above the peak that is as high as its lower end."""
    if amps.size <= 500 or np.ptp(amps) == 0:
        return np.nan
    pdf = gaussian_filter1d(np.histogram(amps, amps.size // 10)[0].astype(float), 4)
    peak = np.argmax(pdf)
    away = np.abs(pdf[peak:] - pdf[0])
    cutoff = peak + np.flatnonzero(away <= away.min() + 1e-9 * pdf[peak])[0]
    return min(pdf[cutoff:].sum() / pdf.sum(), 0.5)


def amplitude_cutoff(amps):
    """Missing share of all spikes if the lower tail were like the upper."""
    if amps.size < 500 or np.ptp(amps) == 0:
        return np.nan
    pdf = gaussian_filter1d(np.histogram(amps, 100)[0].astype(float), 3, mode="nearest")
    missing = pdf[np.flatnonzero(pdf >= pdf[0])[-1] + 1 :].sum()
    return min(missing / (amps.size + missing), 0.5)
