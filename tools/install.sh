#!/bin/sh
# Create .venv with the packages of requirements.txt and, editable, the projects named as arguments.
# `make install` calls this.
set -eu
PYTHON=${PYTHON:-python3}
"$PYTHON" - <<'CHECK'
import sys

v = sys.version_info[:2]
if not (3, 11) <= v <= (3, 12):
    sys.exit(f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")
CHECK
"$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet uv
uv() { .venv/bin/python -m uv "$@" --quiet --python .venv/bin/python; }
# cpu or auto where uv reaches PyTorch's own builds; else torch is what the package index has.
# Compiled once here, and not by each first process of a run: a Python told not to write bytecode
# would compile torch and the SDK at each import.
uv pip sync --compile-bytecode ${TORCH_BACKEND:+--torch-backend "$TORCH_BACKEND"} requirements.txt
# An array of options, in a shell that has only positional parameters.
count=$#
while [ "$count" -gt 0 ]; do
    set -- "$@" --editable "$1"
    shift
    count=$((count - 1))
done
uv pip install --no-deps "$@"
touch .venv/.ready
