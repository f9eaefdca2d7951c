#!/usr/bin/env bash
# Round trips with SpikeInterface, phylib, neuroconv and Zarr stores, each in an environment of its own; what does not
# install is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
place=$(realpath -m "${ROUND_TRIPS:-.round_trips}")

environment() { # name, packages
  local name=$1
  shift
  [ -x "$place/$name/bin/python" ] || "$python" -m venv "$place/$name"
  "$place/$name/bin/pip" install -q "$@" || { echo "$name does not install here: skipped"; return 1; }
}
if environment spikeinterface 'spikeinterface>=0.105' numba scikit-learn pandas ONE-api; then
  NEUROJOINT_SPIKEINTERFACE_PYTHON="$place/spikeinterface/bin/python"
  export NEUROJOINT_SPIKEINTERFACE_PYTHON
fi
if environment phylib phylib; then
  NEUROJOINT_PHYLIB_PYTHON="$place/phylib/bin/python"
  export NEUROJOINT_PHYLIB_PYTHON
fi
.venv/bin/python -m pytest -q -n 0 -p no:cacheprovider tests/ephys/test_round_trips.py
if environment nwb -e '.[nwb-zarr]' pytest pytest-xdist hypothesis 'neuroconv>=0.10' 'spikeinterface>=0.105' \
  roiextractors ndx-fiber-photometry ndx-pose nwbinspector 'zarr<3'; then # the tests' own zarr is 3
  "$place/nwb/bin/python" -m pytest -q -n 0 -p no:cacheprovider tests/exchange/nwb/test_foreign.py \
    tests/exchange/nwb/test_round_trip.py -k "neuroconv or zarr"
fi
