#!/usr/bin/env bash
# An environment with ibllib for tests/one_bridge/test_ibllib.py; prints its python, or nothing where ibllib does not
# install. It sees the packages of the tests, and has its own of those that ibllib wants older (pandas).
set -euo pipefail
cd "$(dirname "$0")/.."
place=${1:-.venv_ibllib}
tests=$(realpath "${2:-.venv}")
[ -x "$place/bin/python" ] || "$tests/bin/python" -m venv "$place"
own=$("$place/bin/python" -c 'import site; print(site.getsitepackages()[0])')
shared=$("$tests/bin/python" -c 'import site; print(site.getsitepackages()[0])')
echo "import site; site.addsitedir('$shared')" >"$own/packages_of_the_tests.pth"
if "$place/bin/python" -m pip install -q 'ibllib>=4.1' >&2 && "$place/bin/python" -c 'import brainbox.io.one, one_bridge' >&2; then
  realpath -s "$place/bin/python"
else
  echo "ibllib does not install here: its test is skipped" >&2
fi
