"""Writing an archive: chunks encoded and verified by threads, then names, gains and attributes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .codec import Transform, forward, inverse
from .errors import CorruptChunk, FormatError, VerificationFailed
from .recording import Recording
from .report import Progress, package_version
from .spikeglx import Meta, data_stem
from .verify import in_order
from .zarrzip import INSTALL, MAX_CHUNK_BYTES, TRACES, ZipWriter, get_codec

LAYOUT_VERSION = 1

_CHANNEL_AFTER_CHANNEL = Transform("F", time_diff=False)


class ChunkCoder:
    """Samples of one chunk (rows, channels) to stored bytes and back, as the array's Zarr document says."""

    def __init__(self, document: dict[str, Any], rows: int, channels: int, dtype: np.dtype, path: Path):
        self.rows, self.channels, self.dtype, self.path = rows, channels, dtype, path
        self._codec = get_codec(document["compressor"], path)
        self._filters = [get_codec(config, path) for config in document.get("filters") or ()]
        self._local = threading.local()
        self._is_pcodec = document["compressor"]["id"] == "pcodec"

    def encode(self, samples: np.ndarray, chunk: int) -> bytes:
        """Stored bytes of a chunk, decoded again and compared; a short last chunk is filled with its last row.

        Raises
        ------
        VerificationFailed : the codec does not give the samples back
        """
        if len(samples) < self.rows:
            samples = np.concatenate([samples, np.repeat(samples[-1:], self.rows - len(samples), axis=0)])
        flat = forward(np.ascontiguousarray(samples), _CHANNEL_AFTER_CHANNEL)
        stored = flat
        for each in self._filters:
            stored = each.encode(stored)
        packed = bytes(self._codec.encode(stored))
        if not np.array_equal(self.unpack(packed, chunk).view(np.uint8), flat.view(np.uint8)):
            raise VerificationFailed("the codec does not give the samples back.", file=self.path, chunk=chunk)
        return packed

    def decode(self, stored: Any, chunk: int, out: np.ndarray) -> None:
        """The first rows of a chunk, as many as `out` takes, from its stored bytes; each thread keeps its scratch."""
        if not hasattr(self._local, "flat"):
            self._local.flat = np.empty(self.rows * self.channels, self.dtype)
        self.rows_of(self.unpack(stored, chunk, self._local.flat), 0, len(out), out)

    def rows_of(self, flat: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
        """Rows `first` to `last` (excluded) of what `unpack` gave into `out`."""
        inverse(flat.view(np.uint8), self.rows, self.channels, self.dtype, _CHANNEL_AFTER_CHANNEL, first, last, out=out)

    def unpack(self, stored: Any, chunk: int, flat: np.ndarray | None = None) -> np.ndarray:
        """All samples of a chunk, channel after channel, in `flat` where given; never more than the chunk holds.

        Raises
        ------
        CorruptChunk, FormatError
        """
        flat = np.empty(self.rows * self.channels, self.dtype) if flat is None else flat
        try:
            if self._is_pcodec:
                from pcodec import standalone

                progress = standalone.simple_decompress_into(bytes(stored), flat)
                complete = progress.n_processed == flat.size and progress.finished
            else:
                self._codec.decode(stored, out=flat)
                complete = True
            for each in reversed(self._filters):
                flat = np.asarray(each.decode(flat)).view(self.dtype).reshape(-1)
        except ImportError as error:
            raise FormatError("archives need pcodec.", file=self.path, remedy=f"Install it: {INSTALL}.") from error
        except (RuntimeError, ValueError, TypeError) as error:
            raise CorruptChunk(f"cannot be decoded: {error}.", file=self.path, chunk=chunk) from error
        if not complete or flat.size != self.rows * self.channels:
            raise CorruptChunk("does not hold as many samples as it should.", file=self.path, chunk=chunk)
        return flat


def rows_per_chunk(source: Recording, seconds: float) -> int:
    if not 0 < seconds < float("inf"):
        raise FormatError(f"a chunk duration of {seconds} s is not positive.", file=source.path)
    if source.n_samples == 0:
        raise FormatError("there are no samples to archive.", file=source.path)
    rows = max(1, min(round(seconds * source.sample_rate), source.n_samples))
    if rows * source.n_channels * source.dtype.itemsize > MAX_CHUNK_BYTES:
        raise FormatError(f"chunks of {rows} samples are too large.", file=source.path, remedy="Use shorter chunks.")
    return rows


def write_chunks(
    writer: ZipWriter, source: Recording, coder: ChunkCoder, threads: int | None, progress: Progress | None
) -> str | None:
    """Encode, verify and write every chunk; the SHA-1 of all samples."""

    def encoded(chunk: int) -> tuple[np.ndarray, bytes]:
        first = chunk * coder.rows
        samples = source.read(first, min(first + coder.rows, source.n_samples))
        return samples, coder.encode(samples, chunk)

    def written() -> Iterator[np.ndarray]:
        chunks = range(-(-source.n_samples // coder.rows))
        for chunk, (samples, stored) in enumerate(in_order(encoded, chunks, threads)):
            writer.put(f"{TRACES}/{chunk}.0", stored)
            yield samples

    return sha1_of(written(), source.nbytes, progress)


def write_group(
    writer: ZipWriter, document: dict[str, Any], source: Recording, meta: Meta | None, sha1: str | None
) -> None:
    """All that is not samples: documents, channel names, gains and attributes."""
    ours = {
        "layout_version": LAYOUT_VERSION,
        "written_by": f"cbin {package_version()}",
        "raw_name": data_stem(source.path) + (".bin" if meta is not None else _raw_suffix_of(source.path)),
        "raw_bytes": source.nbytes,
        "sha1": sha1,
    }
    gains = source.volts_per_bit
    names = meta.channel_names if meta is not None else [f"CH{i}" for i in range(source.n_channels)]
    if gains is not None:
        ours["volts_per_bit"] = gains.tolist()
    if meta is not None:
        ours |= {"meta": meta.text, "probe_serial": meta.serial, "probe": meta.probe_name}
    attributes = {"sampling_frequency": source.sample_rate, "num_segments": 1, "cbin": ours}
    writer.put_document(".zgroup", {"zarr_format": 2})
    writer.put_document(".zattrs", attributes)
    writer.put_document(f"{TRACES}/.zarray", document)
    writer.put_array("channel_ids", np.array(names))
    writer.put_document("properties/.zgroup", {"zarr_format": 2})
    if gains is not None:
        digital = list(meta.sync_channels) if meta is not None else []
        microvolts = gains * 1e6
        microvolts[digital] = 1.0  # words, not voltages: left as they are
        writer.put_array("properties/gain_to_uV", microvolts)
        writer.put_array("properties/offset_to_uV", np.zeros(source.n_channels))


def sha1_of(pieces: Iterable[np.ndarray], total: int, progress: Progress | None, compute: bool = True) -> str | None:
    """The SHA-1 of arrays one after the other, computed by a thread of its own while the next is made.

    Without `compute` the pieces are only asked for, and counted.
    """
    sha1, done = hashlib.sha1(usedforsecurity=False), 0
    with ThreadPoolExecutor(1) as hasher:
        before: Future[None] | None = None
        for samples in pieces:
            if before is not None:
                before.result()
            if compute:
                before = hasher.submit(sha1.update, samples)
            done += samples.nbytes
            if progress is not None:
                progress(done, total)
    return sha1.hexdigest() if compute else None


def _raw_suffix_of(path: Path) -> str:
    """The raw form of a suffix: `.cbin` is `.bin` compressed."""
    return "." + path.suffix[2:] if path.suffix.startswith(".c") else path.suffix or ".bin"
