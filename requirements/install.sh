#!/bin/sh
# The only way in which anything of ours is installed: PYTHON -m pip, one or more lock files, nothing resolved.
#
#   sh requirements/install.sh PYTHON LOCK... [--editable DIRECTORY | --project DIRECTORY]
#
# A lock names every package with its version and hashes. --no-deps keeps pip from looking for any other: without it
# pip 23.2 looks up a requirement with an extra by itself and takes, or refuses, a release made this morning. Wheels
# only: what builds itself would resolve what it builds with. The check afterwards finds a lock that is not complete.
set -eu

pip() {
  "$python" -m pip --disable-pip-version-check --quiet "$@"
}

python=$1
shift
while [ $# -gt 0 ]; do
  case $1 in
    --editable)
      # setuptools announces each time that its data files have changed their rules.
      PYTHONWARNINGS=ignore::UserWarning pip install --no-deps --no-build-isolation --editable "$2"
      shift
      ;;
    --project)
      pip install --no-deps --no-build-isolation "$2"
      shift
      ;;
    *) pip install --no-deps --only-binary :all: --require-hashes -r "$1" ;;
  esac
  shift
done
broken=$("$python" -m pip --disable-pip-version-check check) || {
  echo "$broken" >&2
  echo "The packages installed do not fit each other. If $python has others than those of the lock files: make clean." >&2
  exit 1
}
