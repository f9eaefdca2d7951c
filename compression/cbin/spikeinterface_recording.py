"""The SpikeInterface class behind `cbin.adapters.to_spikeinterface`; of use only where SpikeInterface is installed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .archive import header_of
from .reader import open as open_recording
from .recording import Recording

try:
    from spikeinterface.core import BaseRecording, BaseRecordingSegment
except ImportError:  # the module can be imported, for its documentation and by tests, but makes no recordings
    BaseRecording = BaseRecordingSegment = object


class CbinRecording(BaseRecording):
    """A raw, compressed or archived recording. The parameters are those of `cbin.open`; those of a `.cbin` and of an
    archive are in the file."""

    name = "cbin"

    def __init__(
        self,
        file_path: str,
        n_channels: int | None = None,
        sample_rate: float | None = None,
        dtype: str | None = None,
        sync: bool = False,
    ):
        source = open_recording(file_path, n_channels=n_channels, sample_rate=sample_rate, dtype=dtype)
        meta = header_of(source)
        names = meta.channel_names if meta is not None else list(range(source.n_channels))
        digital = set(meta.sync_channels) if meta is not None and not sync else set()
        columns = [i for i in range(source.n_channels) if i not in digital]
        super().__init__(source.sample_rate, [names[i] for i in columns], source.dtype)
        self.add_recording_segment(_Segment(source, columns))
        if source.volts_per_bit is not None:
            microvolts = source.volts_per_bit * 1e6
            if meta is not None:
                microvolts[list(meta.sync_channels)] = 1.0  # words, not voltages: left as they are
            self.set_channel_gains(microvolts[columns])
            self.set_channel_offsets(np.zeros(len(columns)))
        self._kwargs = {
            "file_path": str(file_path),
            "n_channels": n_channels,
            "sample_rate": sample_rate,
            "dtype": dtype,
            "sync": sync,
        }


class _Segment(BaseRecordingSegment):
    def __init__(self, source: Recording, columns: list[int]):
        super().__init__(sampling_frequency=source.sample_rate)
        self._source = source
        all_of_them = columns == list(range(source.n_channels))
        self._columns = slice(None) if all_of_them else np.array(columns)

    def get_num_samples(self) -> int:
        return self._source.n_samples

    def get_traces(
        self, start_frame: int | None = None, end_frame: int | None = None, channel_indices: Any = None
    ) -> np.ndarray:
        columns = self._columns
        if channel_indices is not None:
            columns = np.arange(self._source.n_channels)[columns][channel_indices]
        return np.asarray(self._source[start_frame:end_frame, columns])
