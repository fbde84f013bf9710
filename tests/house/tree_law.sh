#!/bin/sh
# Laws every file of the tree keeps: sizes, first lines, no unfinished business, no paths of somebody's machine.  TAP.
set -eu
cd "$(dirname "$0")/../.."
number=0
failed=0

# Each law prints its findings; none means the law is kept.
law()
{
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=1
        echo "not ok $number - $1"
        echo "$2" | sed 's/^/# /'
    fi
}

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    all=$(git ls-files && git ls-files --others --exclude-standard)
else
    all=$(find . -type f -not -path './build*' -not -path './.git/*' | sed 's|^\./||')
fi
# Deleted files are still listed by git until the deletion is committed.
all=$(echo "$all" | sort -u | while read -r f; do [ -f "$f" ] && echo "$f"; done)
code=$(echo "$all" | grep -E '\.(c|h|cu)$')
house=$(echo "$code" | grep -E '^(src|include)/')
text=$(echo "$all" | grep -E '\.(c|h|cu|md|sh|awk|py|build|txt|yaml|json|js|css|html)$|^(check|demo|Makefile)$|^\.ci/' |
    grep -v -E '^models/|^tests/house/tree_law\.sh$')

law "no file of src has more than 600 lines" "$(echo "$house" | xargs wc -l | awk '$2 != "total" && $1 > 600')"

# shellcheck disable=SC2086
law "no function of src has more than 100 lines" "$(awk '
    /^\{/ { start = FNR }
    /^\}/ && start { if (FNR - start + 1 > 100) print FILENAME ":" start ": " FNR - start + 1 " lines"; start = 0 }
    FNR == 1 { start = 0 }' $house)"

# shellcheck disable=SC2086
law "C files open with a sentence and their licence" "$(awk '
    FNR == 1 { if ($0 !~ /^\/\* [^ ]/) print FILENAME ": the first line is no sentence in a block comment"; found = 0 }
    FNR <= 40 && /SPDX-License-Identifier: MIT/ { seen[FILENAME] = 1 }
    END { for (i = 1; i < ARGC; i++) if (!(ARGV[i] in seen)) print ARGV[i] ": no SPDX line" }' $code)"

# shellcheck disable=SC2086
law "headers are guarded by ZM_ names" "$(echo "$house" | grep '\.h$' | xargs grep -L -E '^#(ifndef ZM_|ifndef ZOUMA_|pragma once)' |
    sed 's/$/: no guard/')"

law "nothing in the tree is left for later" "$(echo "$text" | xargs grep -n -i -w -E 'TODO|FIXME|XXX|stub|not implemented' || true)"

law "no path of somebody's machine" "$(echo "$text" | xargs grep -n -E '(^|[^a-zA-Z0-9_.])/(work|root|home/[a-z]+|tmp/build[^ ]*)/' || true)"

law "nothing outside the tree but the fixtures, in tests" "$(echo "$text" |
    xargs grep -n -E '\.\./shared' | grep -v -E '^tests/.*\.\./shared/fixtures' || true)"

law "lines end in no blanks" "$(echo "$code" | xargs grep -n -E '[[:blank:]]+$' || true)"

law "scripts can be run" "$(echo "$all" | grep -E '^(check|demo|\.ci/run|tools/.*\.sh|tests/.*\.sh)$' | while read -r f; do
    [ -x "$f" ] || echo "$f"
done)"

echo "1..$number"
exit $failed
