"""Recordings as other libraries know them: a dask array, a SpikeInterface recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import CbinError
from .recording import Recording

BLOCK_BYTES = 32 << 20  # least size of a dask block: smaller ones cost more in scheduling than they gain


def to_dask(recording: Recording, block_bytes: int = BLOCK_BYTES) -> Any:
    """A dask array over a recording, whose blocks end where the file's chunks end, so that none is decoded twice.

    Parameters
    ----------
    recording : what `cbin.open` or `cbin.archive.open` gave; it stays open as long as the array is used
    block_bytes : least size of a block; a chunk that is larger is a block of its own

    Raises
    ------
    CbinError : dask is not installed

    Examples
    --------
    >>> import tempfile, cbin; from pathlib import Path
    >>> from cbin.synthetic import write_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recording = cbin.open(write_recording(Path(folder) / "a.ap.bin", 0.5, n_channels=5))
    ...     array = to_dask(recording)
    ...     same = bool((array.sum(axis=0).compute() == recording[:].sum(axis=0)).all())
    ...     recording.close()
    >>> array.shape, same
    ((15000, 5), True)
    """
    try:
        import dask.array
        from dask.base import tokenize
    except ImportError as error:
        raise CbinError("dask is not installed.", remedy="pip install 'dask[array]'") from error
    stat = recording.path.stat()
    token = tokenize(str(recording.path.absolute()), stat.st_size, stat.st_mtime_ns, recording.shape)
    from_array: Callable[..., Any] = dask.array.from_array  # of which only some versions state the types
    return from_array(
        recording,
        chunks=(_blocks(recording, block_bytes), (recording.n_channels,)),
        name=f"cbin-{token}",
        lock=False,
        asarray=True,
        meta=np.empty((0, 0), recording.dtype),
    )


def to_spikeinterface(recording: Recording, sync: bool = False) -> Any:
    """A SpikeInterface recording over a recording, with channel names and gains from its SpikeGLX header.

    It can be saved, sent to other processes and loaded again like SpikeInterface's own, because it opens the file by
    its path. For the probe's geometry: `recording.set_probe(probeinterface.read_spikeglx(header))`.

    Parameters
    ----------
    recording : what `cbin.open` or `cbin.archive.open` gave
    sync : whether digital words (sync channel) are channels too; without a header nobody knows which these are, and
        all are

    Raises
    ------
    CbinError : SpikeInterface is not installed
    """
    try:
        import spikeinterface.core  # noqa: F401 - is it there?
    except ImportError as error:
        raise CbinError("SpikeInterface is not installed.", remedy="pip install spikeinterface") from error
    from .spikeinterface_recording import CbinRecording  # start-up time

    return CbinRecording(
        str(recording.path.absolute()),
        n_channels=recording.n_channels,
        sample_rate=recording.sample_rate,
        dtype=recording.dtype.str,
        sync=sync,
    )


def _blocks(recording: Recording, block_bytes: int) -> tuple[int, ...]:
    """Rows of each block: as many whole chunks as make `block_bytes`."""
    bounds = np.asarray(recording.chunk_bounds)
    least = max(1, block_bytes // (recording.n_channels * recording.dtype.itemsize))
    edges = [0]
    while edges[-1] < bounds[-1]:
        edges.append(int(bounds[min(int(np.searchsorted(bounds, edges[-1] + least)), len(bounds) - 1)]))
    return tuple(np.diff(edges).tolist()) or (0,)
