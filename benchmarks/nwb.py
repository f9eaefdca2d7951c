"""NWB files of a large session: whole columns against `add_unit`, reading one unit, raw samples against a plain copy.

    python -m benchmarks.nwb [--spikes 10000000] [--units 800] [--seconds 60] [--import]

Both ways of writing units are timed in this run, without a database: the arrays are the same. `add_unit` is timed on a
twentieth of the units with their spikes, and its time is multiplied: its cost grows at least in proportion. The ratio
is given for the clock and for the computing (processor time of all threads), which other programs hardly change. With
--import the file is also read back as ALF files.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pynwb import NWBHDF5IO, NWBFile

from exchange.nwb import forms, packing, sortings, units
from exchange.nwb.containers import Builder
from exchange.nwb.export import Options, Store
from exchange.nwb.reading import Cells
from exchange.nwb.source import AlfObject, File, Piece, Source
from pipeline.analysis import spikes as grouping

START = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)


def spikes(n_spikes: int, n_units: int, folder: Path) -> dict[str, Path]:
    """Files of a sorting in order of time."""
    chance = np.random.default_rng(0)
    times = np.sort(chance.uniform(0, 5400, n_spikes))
    arrays: dict[str, np.ndarray] = {
        "times": times, "clusters": chance.integers(0, n_units, n_spikes).astype(np.int32),
        "amps": chance.uniform(5e-5, 2e-4, n_spikes).astype(np.float32),
        "depths": chance.uniform(0, 3840, n_spikes).astype(np.float32),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(folder / f"spikes.{name}.npy", values)
    return {name: folder / f"spikes.{name}.npy" for name in arrays}


def sorting(paths: dict[str, Path]) -> tuple[Source, sortings.Sorting]:
    """The same as the exporter finds it."""
    pieces = []
    for name, path in paths.items():
        file = File(f"alf/p/spikes.{name}.npy", "", "alf/p", "spikes", name, "npy", "", "", 0, True, "", path)
        pieces.append(Piece(name, np.load(path, mmap_mode="r"), file, forms.header_of(path)))
    one = AlfObject("spikes", "alf/p", pieces)
    ids, grouped = sortings.units_of(np.asarray(one.require("clusters").values), None)
    source = Source({}, {"eid": ""}, {}, {}, [piece.file for piece in pieces], {}, {})
    return source, sortings.Sorting("alf/p", "p", {}, True, one, None, ids, grouped)


class Times(NamedTuple):
    """Seconds of the clock, and of the processor."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Times:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def since(self) -> Times:
        """How long it was."""
        return Times(*(now - then for now, then in zip(Times.now(), self, strict=True)))


def write_columns(paths: dict[str, Path], target: Path) -> tuple[Times, dict[str, forms.Form]]:
    """Seconds from the files to a file on the disk."""
    begin = Times.now()
    source, one = sorting(paths)
    store = Store(Options(), "", 1, None)
    builder = Builder(NWBFile("bench", "bench", START), source, store.wrap)
    from pynwb.misc import Units

    firsts, ends = np.array([0, len(one.ids)]), one.grouped.offsets[1:]
    columns = units.spike_columns(builder, "units", [one], firsts, ends)
    columns.append(builder.column("units", "cluster_id", "id", one.ids))
    builder.nwbfile.units = Units(name="units", description="units", columns=columns, resolution=1 / 30000)
    store.write(builder, target)
    return begin.since(), builder.forms


def write_add_unit(paths: dict[str, Path], target: Path, share: int) -> Times:
    """Seconds for a share of the units, one after the other, as most converters do."""
    arrays = {name: np.load(path) for name, path in paths.items()}
    n_units = int(arrays["clusters"].max() + 1) // share
    chosen = arrays["clusters"] < n_units
    arrays = {name: values[chosen] for name, values in arrays.items()}
    begin = Times.now()
    nwbfile = NWBFile("bench", "bench", START)
    nwbfile.add_unit_column("spike_amplitudes", "V", index=True)
    nwbfile.add_unit_column("spike_depths", "um", index=True)
    order = np.argsort(arrays["clusters"], kind="stable")
    bounds = np.searchsorted(arrays["clusters"][order], np.arange(n_units + 1))
    for unit in range(n_units):
        rows = order[bounds[unit] : bounds[unit + 1]]
        amps, depths = (arrays[name][rows] for name in ("amps", "depths"))
        nwbfile.add_unit(spike_times=arrays["times"][rows], spike_amplitudes=amps, spike_depths=depths)
    with NWBHDF5IO(target, "w") as io:
        io.write(nwbfile)
    return begin.since()


def raw(seconds: float, folder: Path) -> tuple[Times, Times, int]:
    """Seconds for a plain copy of the decompressed samples, and for the export; and the bytes."""
    import cbin
    import h5py
    from cbin import synthetic

    from exchange.nwb.recordings import Samples

    n_samples = int(seconds * 30000)
    path = folder / "r.ap.bin"
    blocks = list(synthetic.blocks(2.0))
    with path.open("wb") as file:
        for second in range(n_samples // 30000):
            file.write(blocks[second % 2].tobytes())
    cbin.compress(path, n_channels=385, sample_rate=30000, out=folder / "r.ap.cbin")
    with cbin.open(folder / "r.ap.cbin") as recording:
        begin = Times.now()
        with (folder / "copy.bin").open("wb") as file:
            for _, samples in Samples(recording, np.arange(385)).pieces():
                file.write(samples.data)
        copied = begin.since()
    with cbin.open(folder / "r.ap.cbin") as recording, h5py.File(folder / "r.h5", "w") as file:
        begin = Times.now()
        samples = Samples(recording, np.arange(384))
        dataset = file.create_dataset(
            "data", samples.shape, np.int16, chunks=packing.chunk_shape(samples.shape), compression="gzip",
            compression_opts=1, shuffle=True,
        )  # fmt: skip
        packing.fill(dataset, samples.pieces(), lambda n_bytes: None)
        written = begin.since()
        assert np.array_equal(dataset[1000:1010, 3], recording[1000:1010, 3])
    print(f"raw on the disk: {(folder / 'r.h5').stat().st_size / path.stat().st_size:.2f} of the samples")
    return copied, written, path.stat().st_size


def main() -> None:
    """Print one line for each claim."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spikes", type=int, default=10_000_000)
    parser.add_argument("--units", type=int, default=800)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--import", dest="back", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    share = 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = spikes(asked.spikes, asked.units, folder)
        grouping.group(np.zeros(10, np.int32))  # compiled before
        columns, results = write_columns(paths, folder / "columns.nwb")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        one_by_one = Times(*(seconds * share for seconds in write_add_unit(paths, folder / "add_unit.nwb", share)))
        for name, ours, theirs in zip(("clock", "computing"), columns, one_by_one, strict=True):
            print(
                f"units, {name}: columns {ours:.2f} s, add_unit {theirs:.1f} s (a share times {share}): "
                f"{theirs / ours:.0f} x"
            )
        print(f"peak memory of the columns: {memory:.2f} GB (with the making of the arrays)")
        with NWBHDF5IO(folder / "columns.nwb", "r") as io:
            units = io.read().units
            taken = []
            for unit in range(0, asked.units, max(1, asked.units // 20)):
                begin = time.perf_counter()
                units["spike_times"][unit]
                taken.append(time.perf_counter() - begin)
            print(f"reading one unit: {np.median(taken) * 1e3:.1f} ms (median), {max(taken) * 1e3:.1f} ms (longest)")
        if asked.back:
            begin = time.perf_counter()
            with NWBHDF5IO(folder / "columns.nwb", "r") as io:
                get = Cells(io.read())
                for path, form in results.items():
                    target = folder / "back" / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    header, values = forms.rebuild(form, get, get.orders)
                    forms.write_npy(target, header, values)
                    assert target.read_bytes() == paths[path.split(".")[1]].read_bytes()
            print(f"import: {time.perf_counter() - begin:.1f} s, files equal to the byte")
        copied, written, size = raw(asked.seconds, folder)
        print(
            f"raw: copy {size / copied.wall / 1e6:.0f} MB/s, export {size / written.wall / 1e6:.0f} MB/s: "
            f"{written.wall / copied.wall:.2f} times the copy by the clock, {written.cpu / copied.cpu:.2f} by computing"
        )


if __name__ == "__main__":
    main()
