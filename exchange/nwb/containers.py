"""Builds the NWB objects of a session from its ALF objects, and notes in which cells each file ends up."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hdmf.common import DynamicTable, VectorData, VectorIndex
from pynwb import NWBFile, TimeSeries
from pynwb.behavior import SpatialSeries
from pynwb.epoch import TimeIntervals
from pynwb.event import EventsTable, TimestampVectorData
from pynwb.image import ImageSeries

from exchange.nwb import forms, pose, rules, wheels
from exchange.nwb.source import VIDEOS, AlfObject, File, Piece, Source

Wrap = Callable[[np.ndarray], Any]
"""What is done to an array before it is written: compression, by the kind of file."""

_FULL = {"radians": 2 * np.pi, "degrees": 360.0}
"""Angles that a SpatialSeries may hold; a wheel that has turned further becomes a plain series."""
_LENGTHS = ("centimeters", "millimeters", "meters")

_MODULES = {
    "behavior": "What the animal did, apart from the trials.",
    "ecephys": "What was computed from the recordings of the probes.",
    "ophys": "Fluorescence of the brain.",
}


@dataclass
class Builder:
    """An NWB file in the making.

    Attributes:
        cells: name of a cell -> its values as they are written.
        forms: path of a file below the session -> its form.
        videos: name of the video beside the NWB file -> its source.
    """

    nwbfile: NWBFile
    source: Source
    wrap: Wrap = lambda values: values  # noqa: E731
    cells: dict[str, np.ndarray] = field(default_factory=dict)
    orders: forms.Orders = field(default_factory=dict)
    forms: dict[str, forms.Form] = field(default_factory=dict)
    videos: dict[str, File] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    mark: str = ""
    _tables: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _series: dict[str, Any] = field(default_factory=dict)

    def add(self, one: AlfObject) -> None:
        """Write one ALF object, units and electrodes excepted."""
        rule = rules.rule_of(one.name, one.attributes)
        if not one.n_rows:
            return
        kinds = {
            "trials": self._intervals, "intervals": self._intervals, "events": self._events, "series": self._add_series,
            "periods": self._periods, "frames": self._frames, "table": self._table,
        }  # fmt: skip
        kinds[rule.kind](one, rule)

    def module(self, name: str) -> Any:
        """A processing module, made when it is first needed."""
        if name not in self.nwbfile.processing:
            self.nwbfile.create_processing_module(name, _MODULES[name])
        return self.nwbfile.processing[name]

    def free_name(self, name: str) -> str:
        """`name`, with a number where an object of that name is there."""
        taken = {cell.rpartition(":")[0] for cell in self.cells} | set(self._series)
        chosen, number = name, 2
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        self._series[chosen] = None
        return chosen

    def column(self, table: str, name: str, text: str, values: np.ndarray, cls: type = VectorData) -> VectorData:
        """A column, under its cell."""
        values = tidy(values)
        self.cells[f"{table}:{name}"] = values
        return cls(name=name, description=text, data=self.wrap(values))

    def note_form(self, piece: Piece, cells: list[str | None], **more: Any) -> None:
        """Remember where the values of a file are."""
        if piece.header is not None:
            self.forms.setdefault(piece.file.rel_path, forms.array_form(piece.header, cells, **more))
        else:
            form = self.forms.setdefault(piece.file.rel_path, forms.Form("table", **more))
            form.columns.append(piece.attribute)
            form.cells.append(cells[0])

    def columns(self, one: AlfObject, rule: rules.Rule, table: str, given: Sequence[str] = ()) -> list[VectorData]:
        """The columns of a table, one for each attribute that is not in `given`; what is all NaN is left out."""
        columns: dict[str, VectorData] = {}
        for piece in one.pieces:
            if piece.attribute in given:
                continue
            column = rules.column_of(rule, one.name, piece.attribute, self.source.described)
            cell = f"{table}:{column.name}"
            values = np.asarray(piece.values)
            if values.dtype.kind == "f" and np.isnan(values).all():
                self.note_form(piece, [None] * (values.shape[1] if values.ndim == 2 else 1))
            elif column.name in columns:
                if _equal(self.cells[cell], tidy(values)):
                    self.note_form(piece, [cell])
            else:
                columns[column.name] = self.column(table, column.name, column.text, values)
                self.note_form(piece, [cell])
        return list(columns.values())

    def _intervals(self, one: AlfObject, rule: rules.Rule) -> None:
        """Trials, and whatever else has a start and an end."""
        name = self.free_name(rule.name.format(object=rules.snake(one.name)) + one.suffix)
        starts, stops, given = self._bounds(one, rule, name)
        if starts is None or stops is None:
            self.notes.append(f"{one.name} of {one.collection} has no start and end times: it is a table without times")
            self._table(one, rule, name, given)
            return
        columns = [starts, stops, *self.columns(one, rule, name, given)]
        table = TimeIntervals(name=name, description=rule.text, columns=columns, id=_ids(one.n_rows))
        if name == "trials":
            self.nwbfile.trials = table
        elif rule.kind == "trials":
            self.nwbfile.add_time_intervals(table)
        else:
            self.module(rule.module).add(table)

    def _bounds(self, one: AlfObject, rule: rules.Rule, table: str) -> tuple[Any, Any, list[str]]:
        """Columns of start and end, and the attributes that they come from."""
        texts = {"start_time": "Start (s from session start).", "stop_time": "End (s from session start)."}
        both = one.get("intervals")
        if both is not None and both.values.ndim == 2 and both.values.shape[1] == 2:
            values = np.asarray(both.values)
            if np.isnan(values.astype(float)).all():
                return None, None, []
            columns = [self.column(table, name, text, values[:, i]) for i, (name, text) in enumerate(texts.items())]
            self.note_form(both, [f"{table}:start_time", f"{table}:stop_time"])
            given = ["intervals"]
            for index in range(2):
                single = one.get(f"intervals_{index}")
                if single is not None and _equal(np.asarray(single.values), values[:, index]):
                    self.note_form(single, [f"{table}:{list(texts)[index]}"])
                given.append(f"intervals_{index}")
            return *columns, given
        names = [("intervals_0", "start", "start_time"), ("intervals_1", "stop", "end", "stop_time")]
        pieces = [piece for some in names if (piece := one.get(*some)) is not None]
        if len(pieces) < 2 or any(piece.values.dtype.kind not in "iuf" for piece in pieces):
            return None, None, []
        columns = []
        for piece, (name, text) in zip(pieces, texts.items(), strict=True):
            columns.append(self.column(table, name, text, np.asarray(piece.values)))
            self.note_form(piece, [f"{table}:{name}"])
        return *columns, [piece.attribute for piece in pieces]

    def _events(self, one: AlfObject, rule: rules.Rule) -> None:
        """Instants, with what is known of each."""
        piece = one.require("times", "timestamps")
        name = self.free_name(rule.name.format(object=rules.snake(one.name)) + one.suffix)
        values = np.asarray(piece.values)
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            self._table(one, rule, name)
            return
        text = "Time of the event (s from session start)."
        times = self.column(name, "timestamp", text, values.astype(np.float64), TimestampVectorData)
        self.note_form(piece, [f"{name}:timestamp"])
        columns = [times, *self.columns(one, rule, name, [piece.attribute])]
        self.nwbfile.add_events_table(EventsTable(name=name, description=rule.text, columns=columns))

    def _add_series(self, one: AlfObject, rule: rules.Rule) -> None:
        """One time series for each attribute, all on the same times."""
        piece = one.get("times", "timestamps")
        others = [other for other in one.pieces if other is not piece]
        if piece is None or not others or piece.values.ndim != 1:
            self._table(one, rule) if piece is None or piece.values.ndim != 1 else self._events(one, rule)
            return
        timing = None
        for other in others:
            column = rules.column_of(rule, one.name, other.attribute, self.source.described)
            if column.unit == "radians" and (one.name, other.attribute) == ("wheel", "position"):
                column = dataclasses.replace(column, unit=wheels.unit_of(np.asarray(other.values)))
            name = f"{rules.snake(one.name)}_{column.name}{one.suffix}"
            timing = self.series(name, other, column, piece, timing, module=rule.module) or timing
        if timing is not None:
            self.note_form(piece, [f"{timing.name}:timestamps"])

    def series(
        self, name: str, piece: Piece, column: rules.Column, times: Piece, shared: TimeSeries | None = None,
        module: str = "behavior",
    ) -> TimeSeries | None:  # fmt: skip
        """One time series; `shared` is one on the same times. None where the values are no numbers."""
        values = np.asarray(piece.values)
        if values.dtype.kind not in "biuf" or (values.dtype.kind == "f" and np.isnan(values).all()):
            return None
        name = self.free_name(name)
        given = self.timing(name, np.asarray(times.values, dtype=np.float64), shared)
        self.cells[f"{name}:data"] = values
        self.note_form(piece, [f"{name}:data"])
        made: dict[str, Any] = {"name": name, "description": column.text, "data": self.wrap(values)} | given
        turned = np.any(np.abs(values[:200]) > _FULL.get(column.unit, np.inf))
        if column.unit in (*_FULL, *_LENGTHS) and not turned:
            series = SpatialSeries(unit=column.unit, reference_frame="Angle 0 is where the recording began.", **made)
        else:
            series = TimeSeries(unit=column.unit or "n.a.", **made)
        self.module(module).add(series)
        return series

    def timing(self, name: str, times: np.ndarray, shared: TimeSeries | None = None) -> dict[str, Any]:
        """Arguments that say when the samples of a series are: a rate where they are even, else their times."""
        if shared is not None:
            if shared.rate is not None:
                return {"rate": shared.rate, "starting_time": shared.starting_time}
            self.cells[f"{name}:timestamps"] = times
            return {"timestamps": shared}
        if (rate := even_rate(times)) is not None:
            self.cells[f"{name}:timestamps"] = times[0] + np.arange(len(times)) / rate
            return {"rate": rate, "starting_time": float(times[0])}
        self.cells[f"{name}:timestamps"] = times
        return {"timestamps": self.wrap(times)}

    def _periods(self, one: AlfObject, rule: rules.Rule) -> None:
        """A table whose columns are periods and whose rows are their start and end."""
        labels = [piece for piece in one.pieces if piece.values.dtype == object]
        periods = [piece for piece in one.pieces if piece.values.dtype.kind in "iuf" and piece.values.ndim == 1]
        if one.n_rows != 2 or not periods:
            self._intervals(one, rule) if "intervals" in one.attributes else self._table(one, rule)
            return
        name = self.free_name(rule.name + one.suffix)
        order = sorted(periods, key=lambda piece: float(piece.values[0]))
        order = [piece for piece in order if np.isfinite(np.asarray(piece.values, float)).all()]
        bounds = np.array([np.asarray(piece.values, float) for piece in order]).reshape(-1, 2)
        columns = [
            self.column(name, "start_time", "Start (s from session start).", bounds[:, 0]),
            self.column(name, "stop_time", "End (s from session start).", bounds[:, 1]),
            self.column(name, "period", "What happened in it.", np.array([p.attribute for p in order], object)),
        ]
        if order:
            self.module(rule.module).add(TimeIntervals(name=name, description=rule.text, columns=columns))
        for piece in [*labels, *periods]:
            self.forms[piece.file.rel_path] = forms.Form("copy")

    def _frames(self, one: AlfObject, rule: rules.Rule) -> None:
        """A camera: its video or the times of its frames, and what was measured in each frame."""
        times, camera = one.get("times", "timestamps"), rules.snake(one.name)
        if times is None:
            self._table(one, rule)
            return
        seconds = np.asarray(times.values, dtype=np.float64)
        name = self.free_name(f"{camera}{one.suffix}")
        given = self.timing(name, seconds)
        video = self._video(one.name)
        if video is not None:
            beside = f"{name}_external_file_0{video.rel_path[video.rel_path.rindex('.') :]}"
            self.videos[beside] = video
            self.forms[video.rel_path] = forms.Form("beside", [beside])
            series: TimeSeries = ImageSeries(
                name=name, description=f"Video of the {camera.replace('_', ' ')}.", unit="n.a.", format="external",
                external_file=[beside], starting_frame=[0], **given,
            )  # fmt: skip
        else:
            frames = np.arange(len(seconds), dtype=np.int32)
            text = f"Number of each frame of the {camera.replace('_', ' ')}, whose video is not in this file."
            series = TimeSeries(name=name, description=text, data=self.wrap(frames), unit="n.a.", **given)
        self.nwbfile.add_acquisition(series)
        self.note_form(times, [f"{name}:timestamps"])
        shared = None if video is not None and series.rate is None and len(seconds) != one.n_rows else series
        rest = pose.add(self, one, times, shared)
        for piece in rest:
            column = rules.column_of(rule, one.name, piece.attribute, self.source.described)
            unit = column.unit or ("pixels" if "pupil" in piece.attribute.lower() else "")
            self.series(
                f"{camera}_{column.name}{one.suffix}",
                piece,
                rules.Column(column.name, unit, column.text),
                times,
                shared,
            )

    def _video(self, camera: str) -> File | None:
        return next(
            (
                file
                for file in self.source.files
                if file.alf_object == camera and file.rel_path.endswith(VIDEOS) and file.path
            ),
            None,
        )

    def _table(self, one: AlfObject, rule: rules.Rule, name: str | None = None, given: Sequence[str] = ()) -> None:
        """A plain table."""
        name = name or self.free_name(rule.name.format(object=rules.snake(one.name)) + one.suffix)
        columns = self.columns(one, rule, name, given)
        if columns:
            text = rule.text or f"ALF object {one.name}."
            self.module(rule.module).add(
                DynamicTable(name=name, description=text, columns=columns, id=_ids(one.n_rows))
            )


def even_rate(times: np.ndarray) -> float | None:
    """The rate (Hz) of times that are even to the nanosecond; None where they are not."""
    if len(times) < 3 or times[1] == times[0]:
        return None
    steps = np.diff(times)
    if not np.isfinite(steps).all() or np.ptp(np.round(steps, 9)) > 0:
        return None
    return float((len(times) - 1) / (times[-1] - times[0]))


def tidy(values: np.ndarray) -> np.ndarray:
    """Values as columns hold them: whole numbers that are only 0 and 1 as bool, text as objects."""
    if values.dtype.kind in "US":
        return np.asarray([str(value) for value in values.ravel()], dtype=object).reshape(values.shape)
    if (
        values.dtype.kind in "iu"
        and values.dtype.itemsize > 1
        and values.size
        and 0 <= values.min() <= values.max() == 1
    ):
        return values.astype(bool)
    return np.asarray(values)


def ragged(name: str, text: str, values: np.ndarray, ends: np.ndarray, wrap: Wrap) -> tuple[VectorIndex, VectorData]:
    """A column with several values a row: the index comes first."""
    data = VectorData(name=name, description=text, data=wrap(values))
    return VectorIndex(name=f"{name}_index", target=data, data=np.asarray(ends, dtype=np.uint64)), data


def merged(parts: list[np.ndarray | None], lengths: list[int]) -> np.ndarray:
    """One column from those of several probes; where a probe lacks it: NaN, -1, or an empty text."""
    there = [part for part in parts if part is not None]
    if len(parts) == 1:
        return there[0]
    is_text = any(part.dtype == object for part in there)
    kind: Any = object if is_text else np.result_type(*there)
    if len(there) < len(parts) and not is_text and np.dtype(kind).kind not in "f":
        kind = np.result_type(kind, np.int8) if np.dtype(kind).kind != "u" else np.result_type(kind, np.int64)
    fill: Any = "" if is_text else np.nan if np.dtype(kind).kind == "f" else -1
    widest = tuple(max(part.shape[axis] for part in there) for axis in range(1, there[0].ndim))
    whole = np.full((sum(lengths), *widest), fill, dtype=kind)
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        if part is not None:
            whole[(slice(first, first + length), *(slice(0, size) for size in part.shape[1:]))] = part
        first += length
    return whole


def aware(when: datetime.datetime) -> datetime.datetime:
    """A time of the database, with its time zone."""
    return when.replace(tzinfo=datetime.UTC)


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == object or other.dtype == object:
        return one.shape == other.shape and bool((one == other).all())
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _ids(n_rows: int) -> np.ndarray:
    return np.arange(n_rows, dtype=np.int64)
