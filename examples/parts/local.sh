#!/usr/bin/env bash
# A run in four parts, two of them at a time, and its parts put together: local.sh FOLDER
set -euo pipefail
study=$1

part() {
  equidiff run --generator toy:circles --objective neuron:17 --samples 64 --part "$1/4" --out "$2/part-$1" --quiet \
    || [ $? -eq 3 ] # some samples are not members: that is a result, too
}
export -f part

seq 4 | xargs -P 2 -I{} bash -c 'part "$@"' _ {} "$study"
equidiff merge "$study"/part-* --out "$study/run"
