"""Pose by a program in an environment of its own: DeepLabCut's and Lightning Pose's csv, SLEAP's analysis h5 to ALF.

The program is called with placeholders filled in: `{video}`, `{output}` (a folder), `{threads}`. It leaves one file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ingest.programs import ffmpeg
from ingest.programs.sorting import process
from pipeline.alf.unpacked_size import check_hdf5
from pipeline.analysis import pupil as pupils
from pipeline.tasks.kinds import Job, NothingToDo, TaskFailure


def estimate(job: Job) -> None:
    """Run the program over the video of a camera, and write what it found as a table."""
    if not job.command:
        raise TaskFailure("no program for the environment `pose`", "neurojoint agent --env pose=…", "program")
    video = job.inputs("{folder}/_iblrig_{label}Camera.raw.mp4")[0]
    n_frames = ffmpeg.probe(video).n_frames
    output = job.scratch / "pose"
    output.mkdir()
    filled = {"video": str(video), "output": str(output), "threads": str(job.cores)}
    argv = [re.sub(r"\{(\w+)\}", lambda match: filled.get(match[1], match[0]), part) for part in job.command]
    ended = process.run(argv, job.scratch, 7 * 86400)
    job.log(ended.tail)
    if ended.problem:
        raise TaskFailure(f"{argv[0]}: {ended.problem}; it said last: {ended.tail[-300:]}", exit="program")
    table, name = read(output)
    if len(table) != n_frames:
        raise TaskFailure(
            f"the program found the pose of {len(table)} frames, the video has {n_frames}", exit="program"
        )
    table.to_parquet(job.output(f"alf/_ibl_{job.arguments['label']}Camera.{name}.pqt"), index=False)
    job.log(f"{len(table.columns) // 3} points in {len(table)} frames")


def pupil(job: Job) -> None:
    """The diameter of the pupil in each frame, as it is and smoothed (pixels)."""
    names = ("lightningPose", "dlc", "pose")
    paths = [path for name in names for path in job.inputs(f"alf/_ibl_{{label}}Camera.{name}.pqt")]
    table = pd.read_parquet(paths[0])
    missing = [name for name in pupils.POINTS if f"{name}_x" not in table.columns]
    if missing:
        raise NothingToDo(f"{paths[0].name} has no {missing[0]}: its model does not look at the pupil")
    video = ffmpeg.probe(job.inputs("{folder}/_iblrig_{label}Camera.raw.mp4")[0], count=False)
    raw = pupils.diameter({name: table[name].to_numpy() for name in table.columns})
    smooth = pupils.smoothed(raw, video.rate)
    target = job.output(f"alf/_ibl_{job.arguments['label']}Camera.features.pqt")
    pd.DataFrame({"pupilDiameter_raw": raw, "pupilDiameter_smooth": smooth}).to_parquet(target, index=False)
    known = np.isfinite(raw)
    words = f", median {np.median(raw[known]):.1f} pixels" if known.any() else ""
    job.log(f"the pupil is known in {known.sum():,} of {len(raw):,} frames{words}")


def read(folder: Path) -> tuple[pd.DataFrame, str]:
    """The points that a program left, as columns `<point>_x`, `_y` (pixel) and `_likelihood`, and the ALF attribute.

    Raises
    ------
    TaskFailure : there is not one file that can be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".csv", ".h5"))
    tables = [path for path in files if path.suffix == ".csv"] or files
    if len(tables) != 1:
        raise TaskFailure(f"the program left {len(tables)} csv or h5 files, not one", exit="program")
    if tables[0].suffix == ".csv":
        return from_csv(tables[0])
    return from_sleap(tables[0]), "pose"


def from_csv(path: Path) -> tuple[pd.DataFrame, str]:
    """DeepLabCut's and Lightning Pose's csv: rows scorer, bodyparts, coords, then one row a frame."""
    try:
        table = pd.read_csv(path, header=[0, 1, 2], index_col=0)
        parts = table.columns.get_level_values(1)
        coordinates = table.columns.get_level_values(2)
        columns = {
            f"{_name(part)}_{coordinate}": table.iloc[:, place].to_numpy(dtype=np.float64)
            for place, (part, coordinate) in enumerate(zip(parts, coordinates, strict=True))
            if coordinate in ("x", "y", "likelihood")
        }
    except (ValueError, KeyError, IndexError, pd.errors.ParserError) as error:
        raise TaskFailure(
            f"{path.name} is not a csv of DeepLabCut or Lightning Pose ({error})", exit="program"
        ) from None
    scorer = str(table.columns.get_level_values(0)[0]) if len(table.columns) else ""
    return _checked(pd.DataFrame(columns), path), "dlc" if scorer.upper().startswith("DLC") else "lightningPose"


def from_sleap(path: Path) -> pd.DataFrame:
    """SLEAP's analysis h5: `tracks` (track, coordinate, node, frame), `node_names`, `point_scores`; the first track.

    Newer files say the order of the axes, which may be another one. A point that was not found has the likelihood 0.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            if "df_with_missing" in file:  # names of points are pickled in it, and what is pickled is not read
                raise TaskFailure(f"{path.name} is DeepLabCut's own h5, of which only the csv is read",
                                  "call analyze_videos with save_as_csv=True", "program")  # fmt: skip
            check_hdf5(*(file[name] for name in ("tracks", "node_names", "point_scores") if name in file))
            tracks = _in_order(file["tracks"], ("track", "xy", "node", "frame"))
            nodes = [name.decode() if isinstance(name, bytes) else str(name) for name in file["node_names"][:]]
            scores = None
            if "point_scores" in file:
                scores = _in_order(file["point_scores"], ("track", "node", "frame"))
        if tracks.ndim != 4 or tracks.shape[1:3] != (2, len(nodes)):
            raise ValueError(f"tracks of the shape {tracks.shape} for {len(nodes)} points")
        if scores is not None and scores.shape != (len(tracks), len(nodes), tracks.shape[3]):
            raise ValueError(f"scores of the shape {scores.shape} for tracks of {tracks.shape}")
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        raise TaskFailure(f"{path.name} is not an analysis file of SLEAP ({error})", exit="program") from None
    if len(tracks) != 1:
        raise TaskFailure(f"{path.name} has {len(tracks)} animals, and one is expected", exit="data")
    columns = {}
    for number, node in enumerate(nodes):
        columns[f"{_name(node)}_x"], columns[f"{_name(node)}_y"] = tracks[0, 0, number], tracks[0, 1, number]
        likelihood = np.ones(tracks.shape[3]) if scores is None else np.nan_to_num(scores[0, number])
        columns[f"{_name(node)}_likelihood"] = np.where(np.isnan(tracks[0, 0, number]), 0.0, likelihood)
    return _checked(pd.DataFrame(columns), path)


def _in_order(dataset: Any, usual: tuple[str, ...]) -> np.ndarray:
    """The values of an array of SLEAP with its axes in the usual order."""
    values = np.asarray(dataset, dtype=np.float64)
    order = json.loads(dataset.attrs["dims"]) if "dims" in dataset.attrs else list(usual)
    if sorted(order) != sorted(usual):
        raise ValueError(f"{dataset.name} has the axes {', '.join(map(str, order))}")
    return values.transpose([order.index(name) for name in usual])


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    points = {name.rpartition("_")[0] for name in table.columns}
    if not points or len(table.columns) != 3 * len(points):
        raise TaskFailure(f"{path.name} lacks x, y or likelihood of a point", exit="program")
    return table


def _name(part: object) -> str:
    return re.sub(r"\W+", "_", str(part).strip()) or "point"
