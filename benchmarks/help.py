"""Claim: `neurojoint --help` answers in under 0.3 s, since nothing heavy is imported before a command runs.

Peer in the same run: `import datajoint`, which a command line that imported its tables first would wait for.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time

CLAIMED_SECONDS = 0.3


def main(repeats: int = 7) -> None:
    command = shutil.which("neurojoint") or sys.exit("install the project first: pip install -e .")
    calls = {"neurojoint --help": [command, "--help"], "import datajoint": [sys.executable, "-c", "import datajoint"]}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            subprocess.run(call, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    own, other = (statistics.median(times) for times in seconds.values())
    print(f"neurojoint --help  {own:.3f} s (claimed: under {CLAIMED_SECONDS} s; median of {repeats}, in turns)")
    print(f"import datajoint   {other:.3f} s\nratio              {other / own:.1f}")


if __name__ == "__main__":
    main()
