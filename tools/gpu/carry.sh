#!/bin/sh
# On a machine with packages: put the small libraries that a machine with a card may lack into carry/, headers and static
# archives, to be copied there beside the clone.  carry/ is not part of the tree (git ignores it).
set -eu
cd "$(dirname "$0")/../.."
mkdir -p carry/include carry/lib
for l in chipmunk jansson yaml utf8proc; do
    found=
    for d in /usr/lib /usr/lib/*-linux-gnu /usr/local/lib; do
        [ -f "$d/lib$l.a" ] && found=$d/lib$l.a
    done
    [ -n "$found" ] || {
        echo "lib$l.a is not installed: tools/packages.sh build names what to install." >&2
        exit 1
    }
    cp "$found" carry/lib/
done
for h in jansson.h jansson_config.h yaml.h utf8proc.h chipmunk; do
    cp -r "/usr/include/$h" carry/include/
done
du -sh carry
