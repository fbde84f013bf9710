#!/bin/sh
# Build every fuzz target with clang and run each for SECONDS (default 60): tests/fuzz/run.sh [SECONDS] [NAME...]
# Findings are left in build-fuzz/findings-NAME; the exit status is that of the first target that found something.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ -d build-fuzz ] || CC=${CC:-clang} meson setup build-fuzz -Dfuzz=true -Dbuildtype=debugoptimized
names=$*
if [ -z "$names" ]; then
    for f in tests/fuzz/fuzz_*.c; do
        name=${f##*/fuzz_}
        names="$names ${name%.c}"
    done
fi
for name in $names; do
    ninja -C build-fuzz "tests/fuzz/fuzz_$name" "tests/fuzz/seeds_$name"
    corpus=build-fuzz/corpus-$name
    findings=build-fuzz/findings-$name
    mkdir -p "$corpus" "$findings"
    "build-fuzz/tests/fuzz/seeds_$name" --write-seeds "$corpus"
    "build-fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="$findings/" "$corpus"
done
