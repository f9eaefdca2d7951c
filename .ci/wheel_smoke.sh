#!/usr/bin/env bash
# Build the wheel, install it alone into a new environment, run the demonstration, and load every session as ONE.
# usage: wheel_smoke.sh PYTHON [pip options, e.g. --constraint FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1; shift
work=$(mktemp -d)
trap 'NEUROJOINT_HOME="$work/home" "$work/env/bin/neurojoint" db stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
chmod 711 "$work"

"$python" -m venv "$work/env"
git archive HEAD | tar -x -C "$work" --one-top-level=source
"$work/env/bin/pip" install -q -U pip
"$work/env/bin/pip" wheel -q --no-deps -w "$work/dist" "$work/source"
"$work/env/bin/pip" install -q "$@" "$work"/dist/neurojoint-*.whl
export NEUROJOINT_HOME="$work/home"
cd "$work"
"$work/env/bin/neurojoint" demo --mice 2 --sessions 4 --processes 2 --root "$work/data"
"$work/env/bin/python" - <<'PYTHON'
import neurojoint as nj

nj.connect()
one = nj.ONE()
sessions = one.search()
assert len(sessions) >= 8, sessions
rejected = {str(eid) for eid in (nj.acquisition.Session & nj.data.Quarantine).to_arrays("eid")}
for eid in map(str, sessions):
    trials = one.load_object(eid, "trials")
    assert len(trials["contrastLeft"]) > 0 and ("choice" in trials or eid in rejected), eid
print(f"ONE loads the trials of all {len(sessions)} sessions")
PYTHON
