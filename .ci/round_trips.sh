#!/usr/bin/env bash
# Round trips with SpikeInterface, phylib, neuroconv and Zarr stores, each in an environment of its own that sees the
# packages of the tests and has its own of those that it wants otherwise (zarr 2). What does not install here is skipped
# with a line that says so; a test that fails is a failure.
# usage: round_trips.sh [PYTHON of the tests]; ROUND_TRIPS is the folder of the environments, by default .round_trips
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-.venv/bin/python}")
place=$(realpath -m "${ROUND_TRIPS:-.round_trips}")
packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

environment() { # name, packages
  local name=$1 own="$place/$1/bin/python"
  shift
  if { [ -x "$own" ] || "$python" -m venv "$place/$name"; } &&
    echo "import site; site.addsitedir('$(packages_of "$python")')" >"$(packages_of "$own")/packages_of_the_tests.pth" &&
    timeout 900 "$own" -m pip install -q "$@"; then
    return
  fi
  echo "$name does not install here: its round trips are skipped"
  return 1
}

if environment spikeinterface 'spikeinterface>=0.105' scikit-learn; then
  export NEUROJOINT_SPIKEINTERFACE_PYTHON="$place/spikeinterface/bin/python"
fi
if environment phylib phylib; then
  export NEUROJOINT_PHYLIB_PYTHON="$place/phylib/bin/python"
fi
"$python" -m pytest -q -rs -n 0 -p no:cacheprovider tests/ephys/test_round_trips.py
if environment nwb 'hdmf-zarr>=0.13' 'zarr<3' 'neuroconv>=0.10' 'spikeinterface>=0.105' roiextractors ndx-fiber-photometry; then
  "$place/nwb/bin/python" -m pytest -q -rs -n 0 -p no:cacheprovider -p no:zarr tests/exchange/nwb/test_foreign.py \
    tests/exchange/nwb/test_round_trip.py -k "neuroconv or zarr"
fi
