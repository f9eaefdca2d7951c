"""Kills, full disks, resumed runs and files that change: nothing is lost, nothing half is published."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cbin
import numpy as np
import pytest
from cbin import compressor, disk
from signals import neural, read_with_mtscomp, write_raw

pytestmark = pytest.mark.slow

SAMPLES = neural(3000, 8)
OPTIONS = {"n_channels": 8, "sample_rate": 1000, "chunk_duration": 0.1, "layout": "access", "threads": 2}


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "x.bin", SAMPLES)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Interrupted(Exception):
    pass


def stop_after(done, at):
    """A progress callback that ends the run."""

    def progress(now, total):
        if now >= at * total:
            raise Interrupted

    return progress


def interrupt(raw, at=0.5, **options):
    with pytest.raises(Interrupted):
        cbin.compress(raw, **(OPTIONS | options), progress=stop_after(0, at))


def kill(tmp_path, *arguments):
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killing.py")), str(tmp_path), *arguments],
        capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_200_kills_at_random_moments_lose_nothing(tmp_path):
    result = kill(tmp_path, "random", "200")
    assert result["problems"] == []
    assert result["killed"] == 200 and result["finished"] > 5


def test_a_kill_before_each_change_of_the_file_system_loses_nothing(tmp_path):
    """Also: after each, a second run finishes, and leaves nothing but the pair."""
    result = kill(tmp_path, "steps")
    assert result["problems"] == []
    assert result["killed"] > 30 and result["finished"] == 1


def test_an_interrupted_run_is_continued(raw, tmp_path):
    interrupt(raw, 0.6)
    assert names(tmp_path) == ["x.bin", "x.cbin.journal", "x.cbin.part"]
    report = cbin.compress(raw, **OPTIONS)
    assert report.resumed_chunks >= 15
    assert names(tmp_path) == ["x.bin", "x.cbin", "x.ch"]
    assert np.array_equal(read_with_mtscomp(report.cbin_path), SAMPLES)
    whole = cbin.compress(raw, tmp_path / "y.cbin", **OPTIONS)
    assert (whole.sha1_raw, whole.sha1_compressed) == (report.sha1_raw, report.sha1_compressed)


@pytest.mark.parametrize(
    "change",
    [{"order": "F"}, {"effort": "fast"}, {"chunk_duration": 0.2}, {"sample_rate": 500}, {"spatial_diff": True},
     {"n_channels": 4}, {"dtype": "uint16"}],
)  # fmt: skip
def test_what_other_settings_left_is_not_used(raw, change):
    interrupt(raw)
    assert cbin.compress(raw, **(OPTIONS | change)).resumed_chunks == 0


def test_what_another_raw_file_left_is_not_used(raw):
    interrupt(raw)
    other = neural(3000, 8, seed=5)
    write_raw(raw, other)
    os.utime(raw, ns=(1, 1))
    report = cbin.compress(raw, **OPTIONS)
    assert report.resumed_chunks == 0
    assert np.array_equal(read_with_mtscomp(report.cbin_path), other)


@pytest.mark.parametrize("damage", ["first", "middle", "cut", "journal", "torn", "lies"])
def test_a_damaged_part_is_found_and_written_again(raw, tmp_path, damage):
    interrupt(raw, 0.7)
    part, journal = tmp_path / "x.cbin.part", tmp_path / "x.cbin.journal"
    data, lines = bytearray(part.read_bytes()), journal.read_bytes().split(b"\n")
    if damage in ("first", "middle"):
        data[20 if damage == "first" else len(data) // 2] ^= 1
        part.write_bytes(data)
    elif damage == "cut":
        part.write_bytes(data[: len(data) // 3])
    elif damage == "journal":
        journal.write_bytes(b"\n".join(lines[:1] + [b"rubbish"] + lines[1:]))
    elif damage == "torn":
        journal.write_bytes(b"\n".join(lines[:4]) + b"\n12")
    else:
        journal.write_bytes(b"\n".join([lines[0], *(b"%d" % (7 * i) for i in range(1, 30)), b""]))
    report = cbin.compress(raw, **OPTIONS)
    assert report.resumed_chunks < 21
    assert np.array_equal(read_with_mtscomp(report.cbin_path), SAMPLES)
    assert cbin.check(report.cbin_path).ok


def test_without_resume_nothing_is_left(raw, tmp_path):
    interrupt(raw, resume=False)
    assert names(tmp_path) == ["x.bin"]


def test_two_runs_on_one_output_do_not_meet(raw):
    """The second is told so while the first is at work."""
    seen = []

    def progress(done, total):
        if not seen:
            with pytest.raises(cbin.Busy) as caught:
                cbin.compress(raw, **OPTIONS)
            seen.append(caught.value)

    cbin.compress(raw, **OPTIONS, progress=progress)
    assert "another process" in str(seen[0])


def test_a_raw_file_that_grows_meanwhile_is_not_published(raw, tmp_path):
    def progress(done, total):
        if done == total:
            with raw.open("ab") as file:
                file.write(bytes(16))

    with pytest.raises(cbin.RawChanged):
        cbin.compress(raw, **OPTIONS, progress=progress, remove_raw=True)
    assert raw.exists() and not (tmp_path / "x.cbin").exists() and not (tmp_path / "x.ch").exists()


@pytest.mark.parametrize("what", ["encode", "disk"])
def test_what_does_not_read_back_is_never_published(raw, tmp_path, monkeypatch, what):
    """A fault of memory in the encoder, and of the disk in what it keeps."""
    if what == "encode":
        real = compressor.encode
        monkeypatch.setattr(compressor, "encode", lambda d, e: real(np.where(d == d[-1], d + 1, d).astype(d.dtype), e))
    else:
        real_write = disk.write_at
        monkeypatch.setattr(disk, "write_at", lambda fd, data, at: real_write(fd, bytes(data)[:-1] + b"\0", at))
    with pytest.raises(cbin.VerificationFailed, match="chunk 0"):
        cbin.compress(raw, **OPTIONS, remove_raw=True, resume=False)
    assert names(tmp_path) == ["x.bin"]


def test_the_raw_file_stays_when_the_second_verification_fails(raw, tmp_path, monkeypatch):
    """Damage between the first verification and the removal."""
    publish = disk.publish

    def publish_and_damage(part, out, header, meta_out):
        publish(part, out, header, meta_out)
        data = bytearray(out.read_bytes())
        data[1000] ^= 4
        out.write_bytes(data)

    monkeypatch.setattr(disk, "publish", publish_and_damage)
    with pytest.raises(cbin.VerificationFailed, match="Keep the raw file"):
        cbin.compress(raw, **OPTIONS, remove_raw=True)
    assert raw.read_bytes() == SAMPLES.tobytes()


def test_an_earlier_pair_lets_the_raw_file_go_only_if_it_holds_it(raw, tmp_path):
    cbin.compress(raw, **OPTIONS)
    write_raw(raw, neural(3000, 8, seed=9))
    with pytest.raises(cbin.VerificationFailed):
        cbin.compress(raw, **OPTIONS, remove_raw=True)
    write_raw(raw, SAMPLES)
    report = cbin.compress(raw, **OPTIONS, remove_raw=True)
    assert report.raw_removed and names(tmp_path) == ["x.cbin", "x.ch"]


def test_a_full_disk_is_named_and_the_run_can_be_continued(raw, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    code = """
        import resource, signal, sys
        import cbin
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
        try:
            cbin.{call}
        except cbin.DiskFull as error:
            sys.exit(str(error))
        """
    options = ", ".join(f"{key}={value!r}" for key, value in OPTIONS.items())

    def run(call):
        text = textwrap.dedent(code).replace("{call}", call)
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120)

    done = run(f"compress({str(raw)!r}, {options})")
    assert "x.cbin.part: no room left" in done.stderr and "run again to continue" in done.stderr, done.stderr
    assert not (tmp_path / "x.cbin").exists() and raw.exists()
    assert cbin.compress(raw, **OPTIONS).resumed_chunks > 2
    done = run(f"decompress({str(tmp_path / 'x.cbin')!r}, {str(tmp_path / 'y.bin')!r})")
    assert "no room left" in done.stderr and not list(tmp_path.glob("y.bin*"))


def test_while_a_pair_is_replaced_readers_see_the_old_or_the_new_or_none(raw, tmp_path):
    """A reader that opens at each change never gets one file of each."""
    other = neural(3000, 8, seed=3)
    cbin.compress(raw, **OPTIONS)
    write_raw(tmp_path / "other.bin", other)
    seen = []
    real = {name: getattr(os, name) for name in ("replace", "unlink", "fsync")}

    def spy(name):
        def call(*args, **kwargs):
            try:
                with cbin.Reader(tmp_path / "x.cbin") as opened:
                    obtained = opened[:]
                seen.append(
                    "old" if np.array_equal(obtained, SAMPLES) else "new" if np.array_equal(obtained, other) else "bad"
                )
            except cbin.MissingFile:
                seen.append("none")
            return real[name](*args, **kwargs)

        return call

    try:
        for name in real:
            setattr(os, name, spy(name))
        cbin.compress(tmp_path / "other.bin", tmp_path / "x.cbin", **OPTIONS, overwrite=True)
    finally:
        for name, function in real.items():
            setattr(os, name, function)
    assert "bad" not in seen and {"old", "none", "new"} <= set(seen)
    assert seen == sorted(seen, key=["old", "none", "new"].index)


def test_decompression_puts_the_raw_file_in_place_in_one_step(raw, tmp_path):
    cbin.compress(raw, **OPTIONS, remove_raw=True)
    with pytest.raises(Interrupted):
        cbin.decompress(tmp_path / "x.cbin", progress=stop_after(0, 0.5))
    assert names(tmp_path) == ["x.cbin", "x.ch"]
    report = cbin.decompress(tmp_path / "x.cbin", keep=False)
    assert report.verified and names(tmp_path) == ["x.bin"] and raw.read_bytes() == SAMPLES.tobytes()
