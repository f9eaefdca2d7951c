"""Memory stays within its bounds however long the recording, and kernels compile wherever the package lies."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import cbin
import numpy as np
import pytest
from signals import neural

MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=[16, pytest.param(45, marks=pytest.mark.soak)])
def long_recording(request, tmp_path_factory):
    """16 s of 385 channels at 30 kHz: 370 MB; at length 1,040 MB, more than any limit."""
    folder = tmp_path_factory.mktemp("long")
    second = neural(30_000, 385)
    with (folder / "x.bin").open("wb") as file:
        for _ in range(request.param):
            file.write(second)
    (folder / "short.bin").write_bytes(second[:3000].tobytes())
    yield folder / "x.bin"
    shutil.rmtree(folder)


def peak_of(code, compiled):
    """Peak resident memory of a process that runs `code`, in bytes (ru_maxrss would count its parent's, too).

    Kernels are kept in the folder `compiled`, which no other process writes at the time: numba loses some of them when
    two do, and compiling takes more memory than running.
    """
    text = "import cbin\n" + textwrap.dedent(code)
    text += "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"NUMBA_CACHE_DIR": str(compiled)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout) * 1024


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "limit"), [("access", 300), pytest.param("compat", 800, marks=pytest.mark.soak)])
def test_memory_stays_below(long_recording, layout, limit):
    """300 MB with chunks of 0.1 s, 800 MB with chunks of 1 s: verifying, removing nothing, reading back, 4 threads."""

    def steps(raw):
        out = str(raw.with_name(f"{raw.stem}_{layout}.cbin"))
        options = f"n_channels=385, sample_rate=30000, layout={layout!r}, threads=4"
        yield f"cbin.compress({str(raw)!r}, {out!r}, {options})"
        yield f"cbin.check({out!r}, threads=4).raise_if_bad()"
        yield f"cbin.decompress({out!r}, {out + '.raw'!r}, threads=4)"
        yield f"r = cbin.open({out!r}, threads=4)\nfor _, samples in r.iter_chunks(): pass"

    compiled = long_recording.parent / "compiled"
    for code in steps(long_recording.with_name("short.bin")):
        peak_of(code, compiled)
    for code in steps(long_recording):
        assert peak_of(code, compiled) < limit * MEGABYTE, code


@pytest.mark.slow
def test_kernels_work_where_nothing_can_be_cached(tmp_path):
    """Installed read-only, with a home that cannot be written: no error, only a slower start."""
    package = tmp_path / "site" / "cbin"
    shutil.copytree(Path(cbin.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__pycache__").write_text("a file where numba would make a folder")
    code = f"""
        import sys
        sys.path.insert(0, {str(package.parent)!r})
        import numpy as np, zlib, cbin.jit, cbin.synthetic
        assert cbin.__file__.startswith({str(package)!r}), cbin.__file__

        @cbin.jit.kernel
        def double(x):
            return 2 * x

        assert double(4) == 8
        print("ok")
        """
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120,
        env={"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == "ok", done.stderr[-2000:]


def test_importing_does_not_wait_for_numba():
    code = (
        "import sys, cbin; assert 'numba' not in sys.modules and 'numpy' not in sys.modules; cbin.CbinError; dir(cbin)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_recordings_far_longer_than_memory_of_their_header_are_fine(tmp_path):
    """A header of 100 000 chunks opens, and its chunks are found without going through all."""
    stream = bytes.fromhex("789c636000000002 0001".replace(" ", ""))
    n = 100_000
    (tmp_path / "x.cbin").write_bytes(stream * n)
    offsets = tuple(range(0, len(stream) * (n + 1), len(stream)))
    header = cbin.Header(1, 100.0, np.dtype("int16"), tuple(range(n + 1)), offsets)
    (tmp_path / "x.ch").write_bytes(header.to_bytes())
    with cbin.open(tmp_path / "x.cbin") as opened:
        assert opened.shape == (n, 1) and opened[99_998:].tolist() == [[0], [0]]
