"""The command `cbin`: compress, decompress, check, archive and measure recordings from the shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import cbin

from .console import expand, one_line_errors, output_paths, progress_bar, run
from .report import Progress

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
threads_option = click.option(
    "-p", "--threads", "--cpus", type=click.IntRange(1), help="Number of threads.  [default: all processors]"
)
out_option = click.option("-o", "--out", type=click.Path(path_type=Path), help="Output file; a folder for many files.")
overwrite_option = click.option("-f", "--overwrite", is_flag=True, help="Replace an output that is there already.")
remove_option = click.option(
    "--remove/--keep", default=False, help="Delete the input once the output has been verified.  [default: keep]"
)
no_check_option = click.option(
    "-nc", "--no-check", "--no-verify", "no_check", is_flag=True, help="Do not read back and compare."
)


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What neither a `.meta` nor a `.ch` says; the names and letters are mtscomp's."""
    for option in (
        click.option("-d", "--dtype", help="Data type of a raw file.  [default: int16]"),
        click.option("-s", "--sample-rate", type=click.FloatRange(0, min_open=True), help="Sampling rate, Hz."),
        click.option("-n", "--n-channels", type=click.IntRange(1), help="Number of channels."),
    ):
        command = option(command)
    return command


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurojoint", prog_name="cbin")
def main() -> None:
    """Lossless compression of raw electrophysiology, in mtscomp's format (.cbin and .ch) or as Zarr archive.

    Channels, rate and type of a raw file come from the SpikeGLX .meta beside it, or from -n, -s and -d. FILE may be a
    pattern such as '**/*.ap.bin'.
    """


@main.command()
@files_argument
@out_option
@shape_options
@click.option("-c", "--chunk", type=click.FloatRange(0, min_open=True), help="Duration of a chunk, s.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "compat", "access"]),
    default="auto",
    show_default=True,
    help="compat: as mtscomp lays out; access: for short reads; auto: measured on the file.",
)
@click.option("--effort", type=click.Choice(["fast", "default", "small"]), default="default", show_default=True)
@click.option("--order", type=click.Choice(["F", "C"]), help="Channel after channel (F) or sample after sample (C).")
@click.option("--spatial-diff/--no-spatial-diff", default=None, help="Differences between channels too.")
@click.option("--resume/--no-resume", default=True, help="Continue what was interrupted.  [default: resume]")
@threads_option
@overwrite_option
@remove_option
@no_check_option
@json_option
@quiet_option
def compress(
    files: tuple[str, ...],
    out: Path | None,
    chunk: float,
    remove: bool,
    no_check: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compress raw files to .cbin and .ch.

    Interrupted, it continues where it ended when it is run again; files that are compressed already are passed over.
    """
    from .describe import summary  # start-up time
    from .format import default_paths  # start-up time

    options = {name: value for name, value in options.items() if value is not None}
    paths = expand(files)
    targets = output_paths(paths, out, lambda path: default_paths(path)[0])

    def work(path: Path, progress: Progress | None) -> dict[str, Any]:
        try:
            report = cbin.compress(
                path,
                targets[path],
                chunk_duration=chunk,
                verify=not no_check,
                remove_raw=remove,
                progress=progress,
                **options,
            )
        except cbin.OutputExists:
            if not _is_compressed(path, targets[path]):
                raise
            return {"path": str(path), "output": str(targets[path]), "skipped": "compressed already"}
        return {"path": str(path), "output": str(targets[path]), **report.to_dict()}

    run(paths, work, verb="compress", show=None if quiet else summary, as_json=as_json, bar=not quiet)


@main.command()
@files_argument
@out_option
@threads_option
@overwrite_option
@remove_option
@no_check_option
@json_option
@quiet_option
def decompress(
    files: tuple[str, ...],
    out: Path | None,
    threads: int | None,
    overwrite: bool,
    remove: bool,
    no_check: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the raw files of .cbin files or of archives (.zarr.zip)."""
    from .describe import summary  # start-up time

    paths = expand(files)
    targets = output_paths(paths, out, _raw_name)
    options: dict[str, Any] = {"threads": threads, "overwrite": overwrite, "verify": not no_check}

    def work(path: Path, progress: Progress | None) -> dict[str, Any]:
        if cbin.archive.is_archive(path):
            report = cbin.archive.unpack(path, targets[path], remove_archive=remove, progress=progress, **options)
        else:
            report = cbin.decompress(path, targets[path], keep=not remove, progress=progress, **options)
        return report.to_dict() | {"path": str(path), "output": str(targets[path])}

    run(paths, work, verb="decompress", show=None if quiet else summary, as_json=as_json, bar=not quiet)


@main.command()
@files_argument
@threads_option
@json_option
@quiet_option
def check(files: tuple[str, ...], threads: int | None, as_json: bool, quiet: bool) -> None:
    """Read compressed files or archives completely: every chunk, and the hashes of both forms."""
    from .describe import summary  # start-up time

    def work(path: Path, progress: Progress | None) -> dict[str, Any]:
        if cbin.archive.is_archive(path):
            return {"ok": True} | cbin.archive.check(path, threads=threads, progress=progress).to_dict()
        report = cbin.check(path, threads=threads, progress=progress)
        return {
            "path": str(path),
            "ok": report.ok,
            "errors": [str(error) for error in report.errors],
            "n_chunks": report.n_chunks,
            "n_samples": report.n_samples,
            "n_channels": report.n_channels,
            "raw_bytes": report.raw_bytes,
            "compressed_bytes": report.compressed_bytes,
            "seconds": report.seconds,
            "sha1_raw": report.sha1_raw,
            "sha1_compressed": report.sha1_compressed,
            "hashes_compared": report.sha1_known,
        }

    run(expand(files), work, verb="check", show=None if quiet else summary, as_json=as_json, bar=not quiet)


@main.command()
@files_argument
@shape_options
@json_option
def info(files: tuple[str, ...], as_json: bool, **shape: Any) -> None:
    """Say what raw files, .cbin files and archives hold."""
    from .describe import describe, lines  # start-up time

    def work(path: Path, progress: Progress | None) -> dict[str, Any]:
        return describe(path, **shape)

    run(expand(files), work, verb="info", show=lines, as_json=as_json, bar=False)


@main.command()
@files_argument
@out_option
@shape_options
@click.option("-c", "--chunk", type=click.FloatRange(0, min_open=True), help="Duration of a chunk, s.  [default: 0.1]")
@threads_option
@overwrite_option
@remove_option
@json_option
@quiet_option
def archive(
    files: tuple[str, ...],
    out: Path | None,
    chunk: float,
    remove: bool,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **shape: Any,
) -> None:
    """Write raw or .cbin files as archives (.zarr.zip): a fifth smaller, read by Zarr with numcodecs.

    Archives that are there already are passed over.
    """
    from .describe import summary  # start-up time

    paths = expand(files)
    targets = output_paths(paths, out, cbin.archive.default_path)
    options = dict(shape, threads=threads, overwrite=overwrite, remove_source=remove)
    if chunk is not None:
        options["chunk_duration"] = chunk

    def work(path: Path, progress: Progress | None) -> dict[str, Any]:
        try:
            report = cbin.archive.pack(path, targets[path], progress=progress, **options)
        except cbin.OutputExists:
            if remove:
                raise
            return {"path": str(path), "output": str(targets[path]), "skipped": "archived already"}
        return report.to_dict() | {"path": str(path), "output": str(targets[path])}

    run(paths, work, verb="archive", show=None if quiet else summary, as_json=as_json, bar=not quiet)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@shape_options
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="To measure.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Interleaved rounds; medians.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="For what is written.")
@threads_option
@json_option
def bench(file: Path, as_json: bool, **options: Any) -> None:
    """Measure compression, decompression and reads of the first seconds of FILE, against mtscomp where installed."""
    from .measure import measure, table  # start-up time

    with one_line_errors(file):
        results = measure(file, **options)
        click.echo(json.dumps(results) if as_json else table(results))


@main.command("mtscomp", short_help="Like the command mtscomp, with its arguments.")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.argument("outmeta", type=click.Path(path_type=Path), required=False)
@shape_options
@click.option("-c", "--chunk", type=click.FloatRange(0, min_open=True), default=1.0, help="Duration of a chunk, s.")
@threads_option
@no_check_option
@click.option("-v", "--debug", is_flag=True, hidden=True)
def like_mtscomp(
    path: Path,
    out: Path | None,
    outmeta: Path | None,
    chunk: float,
    no_check: bool,
    debug: bool,
    threads: int | None,
    **shape: Any,
) -> None:
    """Compress as `mtscomp` does, with its arguments and layout; an output that is there already is replaced."""
    options = {name: value for name, value in shape.items() if value is not None}
    options |= {"layout": "compat", "chunk_duration": chunk, "verify": not no_check, "threads": threads}
    with one_line_errors(path), progress_bar(f"compress {path.name}") as progress:
        cbin.compress(path, out, meta_out=outmeta, overwrite=True, progress=progress, **options)


@main.command("mtsdecomp", short_help="Like the command mtsdecomp, with its arguments.")
@click.argument("cdata", type=click.Path(path_type=Path))
@click.argument("cmeta", type=click.Path(path_type=Path), required=False)
@click.option("-o", "--out", type=click.Path(path_type=Path))
@overwrite_option
@threads_option
@no_check_option
@click.option("-v", "--debug", is_flag=True, hidden=True)
def like_mtsdecomp(cdata: Path, cmeta: Path | None, no_check: bool, debug: bool, **options: Any) -> None:
    """Decompress as `mtsdecomp` does, with its arguments."""
    with one_line_errors(cdata), progress_bar(f"decompress {cdata.name}") as progress:
        cbin.decompress(cdata, meta=cmeta, verify=not no_check, progress=progress, **options)


@main.command("mtsdesc", short_help="Like the command mtsdesc.")
@click.argument("cdata", type=click.Path(path_type=Path))
@click.argument("cmeta", type=click.Path(path_type=Path), required=False)
def like_mtsdesc(cdata: Path, cmeta: Path | None) -> None:
    """Describe a compressed file, as `mtsdesc` does."""
    from .describe import describe, lines  # start-up time

    with one_line_errors(cdata):
        click.echo(lines(describe(cdata, meta=cmeta)))


def _is_compressed(raw: Path, compressed: Path) -> bool:
    """Whether a finished `.cbin` is as long as the raw file."""
    with cbin.open(compressed) as recording:
        return isinstance(recording, cbin.Reader) and recording.nbytes == raw.stat().st_size


def _raw_name(path: Path) -> Path:
    """The raw file of a compressed one."""
    suffix = path.suffix
    return path.with_name(cbin.spikeglx.data_stem(path) + ("." + suffix[2:] if suffix.startswith(".c") else ".bin"))
