#!/bin/sh
# Install the wheel of dist/ in a fresh environment of each Python there is, and try it with no
# compiler in PATH, in an empty folder.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
wheel=$(ls "$top"/dist/*.whl)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0
for version in 3.11 3.12 3.13; do
    python=$(command -v "python$version" || true)
    if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "python$version: not here, skipped"
        continue
    fi
    "$python" -m venv "$work/$version"
    "$work/$version/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
    mkdir "$work/empty-$version"
    # env -i: nothing but the environment's own programs is found.
    (cd "$work/empty-$version" &&
        env -i HOME="$work" PATH="$work/$version/bin" "$work/$version/bin/python" "$top/tests/smoke.py")
    tried=$((tried + 1))
done
[ "$tried" -gt 0 ]
