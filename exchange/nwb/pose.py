"""Tracked points of a camera as `ndx-pose` objects; as plain time series where that package is not installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from exchange.nwb import rules
from exchange.nwb.source import AlfObject, Piece

_TRACKERS = {"dlc": "DeepLabCut", "lightningPose": "Lightning Pose"}
_PARTS = ("x", "y", "likelihood")


def add(builder: Any, one: AlfObject, times: Piece, shared: Any) -> list[Piece]:
    """Write the tracked points of a camera; returns the pieces that are something else.

    A point is three columns of one table: `<point>_x`, `<point>_y` (pixels) and `<point>_likelihood` (0-1).
    """
    points: dict[tuple[str, str], dict[str, Piece]] = {}
    for piece in one.pieces:
        point, _, part = piece.attribute.rpartition("_")
        if part in _PARTS and point and piece.header is None:
            points.setdefault((piece.file.attribute, point), {})[part] = piece
    points = {name: parts for name, parts in points.items() if parts.keys() == set(_PARTS)}
    used = {id(piece) for parts in points.values() for piece in parts.values()}
    for tracker in dict.fromkeys(tracker for tracker, _ in points):
        some = {point: parts for (of, point), parts in points.items() if of == tracker}
        _add_tracker(builder, one, tracker, some, times, shared)
    return [piece for piece in one.pieces if id(piece) not in used and piece is not times]


def _add_tracker(
    builder: Any, one: AlfObject, tracker: str, points: dict[str, dict[str, Piece]], times: Piece, shared: Any
) -> None:
    try:
        import ndx_pose
    except ImportError:
        ndx_pose = None
    camera, made = rules.snake(one.name), []
    software = _TRACKERS.get(tracker, tracker)
    for point, parts in points.items():
        name = builder.free_name(f"{camera}_{rules.snake(point)}{one.suffix}")
        given = builder.timing(name, np.asarray(times.values, dtype=np.float64), shared)
        places = np.column_stack([np.asarray(parts["x"].values, float), np.asarray(parts["y"].values, float)])
        trust = np.asarray(parts["likelihood"].values, float)
        builder.cells |= {f"{name}:data@0": places[:, 0], f"{name}:data@1": places[:, 1], f"{name}:confidence": trust}
        for part, cell in zip(_PARTS, ("data@0", "data@1", "confidence"), strict=True):
            builder.note_form(parts[part], [f"{name}:{cell}"])
        text = f"Place of the point {point} in the frames of the {camera.replace('_', ' ')}."
        frame = "(0, 0) is the upper left corner of the frame; x grows to the right, y downwards."
        if ndx_pose is None:
            series = builder.module("behavior")
            from pynwb import TimeSeries

            data = np.column_stack([places, trust])
            builder.cells |= {f"{name}:data@2": trust}
            builder.forms[parts["x"].file.rel_path].cells[-1] = f"{name}:data@2"
            series.add(TimeSeries(name=name, description=f"{text} x, y (pixels) and likelihood.", unit="pixels", data=builder.wrap(data), **given))  # noqa: E501  # fmt: skip
            continue
        made.append(
            ndx_pose.PoseEstimationSeries(
                name=name,
                description=text,
                data=builder.wrap(places),
                unit="pixels",
                reference_frame=frame,
                confidence=builder.wrap(trust),
                confidence_definition=f"Likelihood that {software} gives.",
                **given,
            )  # fmt: skip
        )
    if made:
        module = builder.module("behavior")
        skeleton = ndx_pose.Skeleton(
            name=f"{camera}_{rules.snake(tracker)}_skeleton{one.suffix}", nodes=[s.name for s in made]
        )
        if "Skeletons" in module.data_interfaces:
            module["Skeletons"].add_skeletons(skeleton)
        else:
            module.add(ndx_pose.Skeletons(skeletons=[skeleton]))
        module.add(
            ndx_pose.PoseEstimation(
                name=builder.free_name(f"{camera}_{rules.snake(tracker)}{one.suffix}"),
                pose_estimation_series=made,
                description=f"Points that {software} tracked in the video of the {camera.replace('_', ' ')}.",
                scorer=software,
                source_software=software,
                skeleton=skeleton,
            )  # fmt: skip
        )
