#!/bin/sh
# Configure DIR once and compile it: tools/build.sh DIR [meson options].  Its output is kept in DIR/build.log and
# shown only when something fails.  JOBS limits the compilers that run at once.
set -eu
cd "$(dirname "$0")/.."
dir=$1
shift
mkdir -p "$dir"
log=$dir/build.log
# A folder copied from elsewhere, or one whose setup was cut short, is set up anew.
if [ -f "$dir/build.ninja" ] && ! grep -q -F "\"$(pwd -P)\"" "$dir/meson-info/meson-info.json" 2>/dev/null; then
    rm -rf "$dir"
    mkdir -p "$dir"
fi
if { [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@"; } >"$log" 2>&1 &&
    ninja -C "$dir" -j "${JOBS:-$(nproc)}" >>"$log" 2>&1; then
    exit 0
fi
grep -E -A 8 'error:|ERROR:|FAILED:|warning:' "$log" | head -n 60 >&2 || tail -n 30 "$log" >&2
echo "The build in $dir failed; $log has everything it said." >&2
exit 1
