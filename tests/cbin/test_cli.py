"""The command: what it writes, prints and returns, that it goes on after interruptions and never shows a traceback."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cbin
import mtscomp
import numpy as np
import pytest
from cbin.cli import main
from cbin.synthetic import write_recording
from click.testing import CliRunner

CHANNELS = 9


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """0.8 s of 9 channels with a header."""
    return write_recording(tmp_path_factory.mktemp("raw") / "r_g0_t0.imec0.ap.bin", 0.8, n_channels=CHANNELS)


@pytest.fixture
def raw(original, tmp_path):
    shutil.copy(original.with_suffix(".meta"), tmp_path)
    return Path(shutil.copy(original, tmp_path))


@pytest.fixture
def command():
    """Run `cbin` in this process; fails on exceptions other than a clean exit."""

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def samples(path):
    return np.fromfile(path, np.int16).reshape(-1, CHANNELS)


def read_by_mtscomp(path, meta=None):
    reader = mtscomp.Reader()
    reader.open(path, meta or path.with_suffix(".ch"))
    try:
        return reader[:]
    finally:
        reader.close()


def test_there_and_back(raw, original, command):
    out = command("compress", raw).stdout
    compressed = raw.with_suffix(".cbin")
    assert str(compressed) in out and "ratio" in out and raw.exists()
    np.testing.assert_array_equal(read_by_mtscomp(compressed), samples(original))
    raw.unlink()
    assert "ratio" in command("decompress", compressed).stdout
    assert raw.read_bytes() == original.read_bytes() and compressed.exists()


def test_remove_deletes_the_input_and_only_that(raw, original, command):
    command("compress", "--remove", raw)
    assert sorted(p.suffix for p in raw.parent.iterdir()) == [".cbin", ".ch", ".meta"]
    command("decompress", "--remove", raw.with_suffix(".cbin"))
    assert sorted(p.suffix for p in raw.parent.iterdir()) == [".bin", ".meta"]
    command("archive", "--remove", raw)
    assert sorted(p.suffix for p in raw.parent.iterdir()) == [".meta", ".zip"]
    command("decompress", "--remove", raw.with_suffix(".zarr.zip"))
    assert raw.read_bytes() == original.read_bytes() and len(list(raw.parent.iterdir())) == 2


def test_patterns_and_many_files(raw, command, tmp_path):
    for i in range(3):
        folder = tmp_path / f"s{i}"
        folder.mkdir()
        for path in (raw, raw.with_suffix(".meta")):
            shutil.copy(path, folder)
    lines = command("compress", tmp_path / "**" / "*.ap.bin").stdout.splitlines()
    assert len(lines) == 4 and len(list(tmp_path.rglob("*.cbin"))) == 4
    command("compress", tmp_path / "*.nothing", code=2)


def test_one_bad_file_costs_nothing_else(raw, command, tmp_path):
    bad = tmp_path / "bad.ap.bin"
    bad.write_bytes(b"123")
    shutil.copy(raw.with_suffix(".meta"), bad.with_suffix(".meta"))
    result = command("compress", bad, tmp_path / "none.bin", raw, code=1)
    assert raw.with_suffix(".cbin").exists() and not bad.with_suffix(".cbin").exists()
    errors = result.stderr.strip().splitlines()
    assert len(errors) == 2 and "bad.ap.bin" in errors[0] and "none.bin" in errors[1]
    assert "Traceback" not in result.output


def test_outputs_into_a_folder_or_under_a_name(raw, command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    command("compress", raw, "-o", folder)
    command("decompress", folder / raw.with_suffix(".cbin").name, "-o", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == raw.read_bytes()
    command("archive", raw, "-o", folder)
    command("decompress", folder / "r_g0_t0.imec0.ap.zarr.zip", "-o", folder)
    assert (folder / raw.name).read_bytes() == raw.read_bytes()
    command("compress", raw, tmp_path / "x.bin", "-o", tmp_path / "y.cbin", code=2)
    command("compress", raw, folder / raw.name, "-o", folder, code=2)


def test_what_is_done_is_passed_over_and_what_is_there_is_kept(raw, command):
    command("compress", raw)
    compressed = raw.with_suffix(".cbin")
    before = compressed.stat().st_mtime_ns
    assert "already" in command("compress", raw).stdout
    assert compressed.stat().st_mtime_ns == before
    command("compress", "-f", raw)
    assert compressed.stat().st_mtime_ns > before
    command("archive", raw)
    assert "already" in command("archive", raw).stdout
    assert "already" in command("decompress", compressed, code=1).stderr
    command("decompress", "-f", compressed)
    with raw.open("ab") as file:  # the finished file is that of another recording
        file.write(bytes(2 * CHANNELS))
    assert "already there" in command("compress", raw, code=1).stderr


def test_remove_finishes_an_earlier_run(raw, command):
    """Compressed yesterday with --keep, today with --remove: compared again, then deleted."""
    command("compress", raw)
    command("compress", "--remove", raw)
    assert not raw.exists()
    command("decompress", raw.with_suffix(".cbin"))
    command("archive", raw)
    command("archive", "--remove", raw)
    assert not raw.exists() and raw.with_suffix(".zarr.zip").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--layout", "compat"], {"order": "F", "chunk_seconds": 0.8, "spatial_diff": False}),
        (["--layout", "access"], {"order": "C", "chunk_seconds": 0.1, "spatial_diff": False}),
        (["--layout", "access", "-c", "0.05"], {"order": "C", "chunk_seconds": 0.05}),
        (["--order", "F", "--spatial-diff", "-c", "0.2"], {"order": "F", "spatial_diff": True, "chunk_seconds": 0.2}),
        (["--effort", "fast", "-p", "1", "-nc"], {"time_diff": True}),
        (["--effort", "small", "--no-verify", "--no-resume"], {"time_diff": True}),
    ],
)
def test_options_shape_the_file(raw, command, options, expected):
    command("compress", raw, *options)
    facts = json.loads(command("info", "--json", raw.with_suffix(".cbin")).stdout)
    assert {name: facts[name] for name in expected} == pytest.approx(expected)
    np.testing.assert_array_equal(read_by_mtscomp(raw.with_suffix(".cbin")), samples(raw))


def test_the_shape_can_be_given_where_no_header_is(raw, command):
    raw.with_suffix(".meta").unlink()
    result = command("compress", raw, code=1)
    assert ".meta" in result.stderr and len(result.stderr.splitlines()) == 1
    command("compress", raw, "-n", CHANNELS, "-s", 30000, "-d", "int16")
    facts = json.loads(command("info", "--json", raw, "-n", CHANNELS, "-s", 30000).stdout)
    assert (facts["kind"], facts["n_samples"], facts["seconds"]) == ("raw", 24000, 0.8)


def test_info_of_every_kind(raw, command):
    command("compress", raw)
    command("archive", raw)
    paths = [raw, raw.with_suffix(".cbin"), raw.with_suffix(".zarr.zip")]
    facts = [json.loads(line) for line in command("info", "--json", *paths).stdout.splitlines()]
    assert [f["kind"] for f in facts] == ["raw", "compressed", "archive"]
    for f in facts:
        assert (f["n_samples"], f["n_channels"], f["sample_rate"], f["dtype"]) == (24000, CHANNELS, 30000.0, "int16")
        assert (f["probe"], f["microvolts_per_bit"], f["sync_channels"]) == ("NP1", 2.34375, [CHANNELS - 1])
    assert facts[1]["ratio"] > 1 and facts[1]["sha1_raw"] == facts[2]["sha1_raw"]
    text = command("info", *paths).stdout
    assert text.count("NP1, serial 18005119451") == 3 and "24,000 x 9 channels" in text


def test_check_finds_damage_and_says_so_in_its_code(raw, command):
    command("compress", raw, "--layout", "access")
    command("archive", raw)
    compressed, archived = raw.with_suffix(".cbin"), raw.with_suffix(".zarr.zip")
    assert command("check", compressed, archived).stdout.count("sound") == 2
    for path in (compressed, archived):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    result = command("check", "--json", compressed, archived, code=1)
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [f["ok"] for f in facts] == [False, False]
    assert all("chunk" in f["errors"][0] for f in facts)
    assert len(result.stderr.splitlines()) >= 2


def test_quiet_prints_nothing_and_json_one_object(raw, command):
    assert command("compress", "-q", raw).output == ""
    report = json.loads(command("compress", "-f", "--json", raw).stdout)
    assert report["ratio"] > 1 and report["verified"] and report["sha1_raw"]
    report = json.loads(command("archive", "--json", raw).stdout)
    assert report["ratio"] > 1 and report["agrees_with_header"] is True


def test_the_commands_of_mtscomp(raw, command, tmp_path):
    """`cbin mtscomp`, `mtsdecomp` and `mtsdesc` take the arguments of the originals."""
    out, meta = tmp_path / "x.cbin", tmp_path / "y.ch"
    raw.with_suffix(".meta").unlink()
    shape = ["-d", "int16", "-s", "30000", "-n", str(CHANNELS), "-c", "1", "-p", "2", "-nc", "-v"]
    command("mtscomp", raw, out, meta, *shape)
    np.testing.assert_array_equal(read_by_mtscomp(out, meta), samples(raw))
    command("mtsdecomp", out, meta, "-o", tmp_path / "back.bin", "-p", "2")
    assert (tmp_path / "back.bin").read_bytes() == raw.read_bytes()
    command("mtsdecomp", out, meta, "-o", tmp_path / "back.bin", code=1)
    command("mtsdecomp", out, meta, "-o", tmp_path / "back.bin", "-f", "-nc")
    assert "24,000 x 9 channels" in command("mtsdesc", out, meta).stdout
    mtscomp.compress(raw, tmp_path / "z.cbin", tmp_path / "z.ch", sample_rate=30000, n_channels=CHANNELS, dtype="int16")
    command("mtsdecomp", tmp_path / "z.cbin")
    assert (tmp_path / "z.bin").read_bytes() == raw.read_bytes()
    assert "sound" in command("check", tmp_path / "z.cbin").stdout


@pytest.mark.slow
def test_bench_measures_against_mtscomp(raw, command, tmp_path):
    pytest.importorskip("pcodec", reason="pip install numcodecs pcodec")
    options = ["--seconds", "0.5", "--repeats", "1", "--folder", tmp_path]
    results = json.loads(command("bench", raw, "--json", *options).stdout)
    assert results["raw_bytes"] == 15000 * CHANNELS * 2
    for name in ("compress cbin", "decompress cbin", "read-10ms cbin", "compress archive", "compress mtscomp"):
        assert results["seconds"][name] > 0
    assert set(results["ratios"]) >= {"cbin", "archive", "mtscomp"} and min(results["ratios"].values()) > 1
    assert not list(tmp_path.glob("cbin-bench-*"))
    assert "x mtscomp" in command("bench", raw, *options).stdout


@pytest.mark.parametrize(
    "arguments",
    [["info", "{}"], ["check", "{}"], ["decompress", "{}"], ["bench", "{}"], ["archive", "{}"], ["mtsdecomp", "{}"]],
)
def test_a_missing_file_is_one_line(command, tmp_path, arguments):
    result = command(*(a.format(tmp_path / "none.cbin") for a in arguments), code=1)
    assert result.stderr.count("\n") == 1 and "none" in result.stderr and result.stderr.startswith("cbin: ")


def test_unreadable_files_are_one_line(command, tmp_path):
    (tmp_path / "folder.bin").mkdir()
    result = command("compress", tmp_path / "folder.bin", "-n", 1, "-s", 1, code=1)
    assert result.stderr.count("\n") == 1 and "folder.bin" in result.stderr


def test_usage_errors_have_their_own_code(command, tmp_path):
    command("compress", code=2)
    command("compress", "x.bin", "--layout", "nonsense", code=2)
    command("nonsense", code=2)
    command("compress", "x.bin", "-n", "0", code=2)


def test_help_needs_neither_numpy_nor_numba():
    """`cbin --help` is there at once because it imports nothing that is slow."""
    code = (
        "import sys\nfrom cbin.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'numba', 'rich', 'deflate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "compress" in done.stdout


def test_every_command_has_help_that_fits_a_terminal(command):
    for name, each in main.commands.items():
        text = command(name, "--help").stdout
        assert each.help and max(map(len, text.splitlines())) <= 80


@pytest.fixture(scope="session")
def long_recording(tmp_path_factory):
    """9 s of 129 channels: compression takes long enough to be interrupted."""
    piece = write_recording(tmp_path_factory.mktemp("long") / "r.ap.bin", 3, n_channels=129, meta=False)
    content = piece.read_bytes()
    with piece.open("ab") as file:
        for _ in range(2):
            file.write(content)
    return piece


def cbin_process(*arguments, **options):
    command = [sys.executable, "-c", "from cbin.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_goes_on(long_recording, tmp_path, how):
    """Ctrl-C ends in a line and code 130, a kill in nothing; the next run keeps the chunks that were done."""
    out = tmp_path / "r.cbin"
    arguments = ["compress", long_recording, "-o", out, "-n", 129, "-s", 30000, "--effort", "small", "-p", 2, "--json"]
    process = cbin_process(*arguments)
    part = tmp_path / "r.cbin.part"
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors and not out.exists()
    if how == signal.SIGINT:
        assert "interrupted" in errors
    report = json.loads(cbin_process(*arguments).communicate(timeout=300)[0])
    assert report["resumed_chunks"] > 0 and sorted(p.name for p in tmp_path.iterdir()) == ["r.cbin", "r.ch"]
    with cbin.open(out) as recording:
        expected = np.memmap(long_recording, np.int16, "r").reshape(-1, 129)
        np.testing.assert_array_equal(recording[:], expected)


@pytest.mark.slow
def test_a_terminal_sees_a_bar_with_rate_and_time_left(raw):
    """On a terminal the progress goes to standard error, and standard output has only the result."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", "from cbin.cli import main; main()", "compress", str(raw)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, text=True, env=environment)
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):  # what Linux says when the other end is closed
        while piece := os.read(leader, 4096):
            seen += piece
    os.close(leader)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and len(out.splitlines()) == 1
    assert b"compress r_g0_t0" in seen and b"B/s" in seen and b"0:00:0" in seen
