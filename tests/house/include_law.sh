#!/bin/sh
# Every #include under src/ against the floor table of docs/design.md, and the table against itself.  TAP.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046
exec awk -f tests/house/include_law.awk docs/design.md $(find src -name '*.[ch]' -o -name '*.cu' | sort)
