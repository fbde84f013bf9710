#!/bin/sh
# Put weights that came in pieces together again:  tools/gpu/join.sh PIECES OUT
# PIECES holds NAME.000, NAME.001, .. and SHA256SUMS, which is checked.
set -eu
pieces=${1:?usage: tools/gpu/join.sh PIECES OUT} out=${2:?usage: tools/gpu/join.sh PIECES OUT}
mkdir -p "$out"
for first in "$pieces"/*.000; do
    name=$(basename "$first" .000)
    cat "$pieces/$name".[0-9][0-9][0-9] >"$out/$name"
done
sums=$(cd "$pieces" && pwd)/SHA256SUMS
cd "$out" && sha256sum -c "$sums"
