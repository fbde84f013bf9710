#!/bin/sh
# Install what is missing of tools/packages.txt: tools/packages.sh build [check].  Silent when nothing is missing.
set -eu
cd "$(dirname "$0")/.."

missing=
for kind in "$@"; do
    for package in $(awk -v kind="$kind" '$1 == kind {print $2}' tools/packages.txt); do
        if command -v dpkg-query >/dev/null; then
            state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
            [ "$state" = installed ] || missing="$missing $package"
        fi
    done
done

if ! command -v dpkg-query >/dev/null; then
    for program in cc meson ninja pkg-config; do
        if ! command -v "$program" >/dev/null; then
            echo "This is not Debian, so nothing is installed for you: $program is missing. tools/packages.txt names what is needed." >&2
            exit 1
        fi
    done
    exit 0
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "Some Debian packages are missing. Please run this line, then try again:" >&2
    echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing Debian packages:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install()
{
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1
}
if ! install; then
    $as_root apt-get update >"$log" 2>&1 || true
    if ! install; then
        tail -n 20 "$log" >&2
        echo "The packages could not be installed. This line shows why: apt-get install$missing" >&2
        exit 1
    fi
fi
