"""Motion energy can be computed by whoever may only read the installation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.analysis import motion


@pytest.mark.slow
def test_motion_energy_works_where_no_compiled_code_can_be_kept(tmp_path):
    """Installed read-only, with a home that cannot be written: importing the module ended in an error of numba."""
    package = tmp_path / "pipeline" / "analysis"
    shutil.copytree(Path(motion.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package.parent / "__init__.py").touch()
    (package / "__pycache__").write_text("a file where numba would make a folder")
    script = (
        "import numpy as np\n"
        "from pipeline.analysis import motion\n"
        f"assert motion.__file__.startswith({str(package)!r}), motion.__file__\n"
        "print(motion.energy(np.array([[[0, 0]], [[4, 2]]], dtype=np.uint8)).tolist())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment |= {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    ended = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert ended.stdout.strip() == "[0.0, 3.0]", ended.stderr[-2000:]
