"""Trials of recorded sessions, read with numpy alone from the folder of real recordings beside the repository."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3] / "shared" / "realdata" / "alf"
KS014 = ROOT / "ibl_KS014" / "Subjects" / "KS014"
TRIALS_TEST = ROOT / "ibllib_fixtures" / "Subjects" / "trials_test"
PHOTOMETRY = ROOT / "ibl_photometry" / "Subjects" / "photometry_fixture"

needs_real_data = pytest.mark.skipif(not KS014.is_dir(), reason="the folder of real recordings is not there")

COLUMNS = {
    "choice": "choice",
    "contrastLeft": "contrast_left",
    "contrastRight": "contrast_right",
    "feedbackType": "feedback_type",
    "probabilityLeft": "probability_left",
    "response_times": "response_times",
    "stimOn_times": "stim_on_times",
}


def days(subject: Path) -> list[str]:
    """Dates of the subject's sessions, ascending."""
    return sorted(folder.name for folder in subject.iterdir()) if subject.is_dir() else []


def trials(subject: Path, *dates: str) -> dict[str, np.ndarray]:
    """Trials of the sessions of these dates, one after the other; columns that a session lacks are absent."""
    files: dict[str, list[np.ndarray]] = {}
    for date in dates:
        for file in sorted(subject.glob(f"{date}/*/alf/_ibl_trials.*.npy")):
            files.setdefault(COLUMNS[file.name.split(".")[1]], []).append(np.load(file))
    return {name: np.concatenate(parts) for name, parts in files.items()}
