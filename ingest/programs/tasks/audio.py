"""The microphone: FLAC without loss, compared sample by sample before the raw file may go."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from ingest.programs import ffmpeg
from pipeline.tasks.kinds import Job, TaskFailure

_CODECS = {"pcm_s16le": "s16le", "pcm_s24le": "s24le", "pcm_u8": "u8"}
"""Samples that FLAC keeps as they are -> how they are compared; others (32 bit, floats) would lose."""


def compress(job: Job) -> None:
    """Compress the recording of the microphone."""
    target = job.output(f"{job.arguments['folder']}/_iblrig_micData.raw.flac")
    raw = job.inputs("{folder}/_iblrig_micData.raw.wav")
    if not raw:
        import shutil

        shutil.copyfile(job.inputs("{folder}/_iblrig_micData.raw.flac")[0], target)
        return
    codec = _codec(raw[0])
    if codec not in _CODECS:
        raise TaskFailure(f"{raw[0].name} has samples of the kind {codec}, which FLAC does not keep as they are",
                          "leave it as it is (neurojoint task abandon)")  # fmt: skip
    _check_length(raw[0])
    ffmpeg.run(["-i", f"file:{raw[0]}", "-map", "0:a:0", "-c:a", "flac", "-compression_level", "5", "-f", "flac", "-y",
                str(target)])  # fmt: skip
    if _samples(raw[0], _CODECS[codec]) != _samples(target, _CODECS[codec]):
        raise TaskFailure("the compressed samples are not those of the raw file", exit="program")
    job.log(f"{raw[0].stat().st_size / 1e6:.1f} MB became {target.stat().st_size / 1e6:.1f} MB, all samples equal")
    job.may_go(raw[0])


def _check_length(path: Path) -> None:
    """A file that was cut off is refused: its header states more than is there."""
    import struct

    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise TaskFailure(f"{path.name} is no WAV file", "see whether it was copied whole")
        stated = struct.unpack("<I", head[4:8])[0] + 8
    if stated > size and size < 0xFFFFFFF0:
        raise TaskFailure(f"{path.name} states {stated} byte and has {size}: it was cut off, and stays as it is",
                          "copy it again from the rig")  # fmt: skip


def _codec(path: Path) -> str:
    command = [ffmpeg.program("ffprobe"), "-v", "error", "-select_streams", "a:0", "-show_entries",
               "stream=codec_name", "-of", "default=nw=1:nk=1", f"file:{path}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    codec = done.stdout.strip()
    if not codec:
        raise TaskFailure(f"{path.name} cannot be read as sound", "see whether it was copied whole")
    return codec


def _samples(path: Path, form: str) -> str:
    """A hash over all samples of a file."""
    command = [ffmpeg.program("ffmpeg"), "-hide_banner", "-nostdin", "-loglevel", "error", "-i", f"file:{path}",
               "-map", "0:a:0", "-f", form, "pipe:1"]  # fmt: skip
    digest = hashlib.sha256()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        stdout = process.stdout
        for block in iter(lambda: stdout.read(1 << 20) if stdout else b"", b""):
            digest.update(block)
    if process.returncode:
        raise TaskFailure(f"{path.name} cannot be decoded", exit="program")
    return digest.hexdigest()
