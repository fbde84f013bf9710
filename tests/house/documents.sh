#!/bin/sh
# What the documents say exists, exists: links, paths in backquotes, subcommands.  TAP.
set -eu
cd "$(dirname "$0")/../.."
number=0
failed=0
result()
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

if [ ! -f README.md ]; then
    echo "ok 1 - README.md # SKIP there is none yet"
    echo "1..1"
    exit 0
fi

for page in README*.md $(find docs models tests -name '*.md' | sort); do
    base=$(dirname "$page")
    result "$page: links lead somewhere" "$(grep -o -E '\]\([^)]+\)' "$page" | sed 's/^](//; s/)$//; s/ .*//; s/#.*//' | sort -u |
        while read -r to; do
            case $to in
            '' | http://* | https://* | mailto:*) ;;
            *) [ -e "$base/$to" ] || echo "$page: $to" ;;
            esac
        done)"
    result "$page: pictures and films are not empty" "$(grep -o -E '(src="|\]\()[^")]+\.(png|gif|mp4|webm|jpg|svg)' "$page" |
        sed 's/^src="//; s/^](//' | sort -u | while read -r to; do
        case $to in
        http*) ;;
        *) [ -s "$base/$to" ] || echo "$page: $to" ;;
        esac
    done)"
done

# Every command of the table is in the README, and every "zouma WORD" there is a command or the start of a prompt.
commands=$(sed -n 's/^ *{"\([a-z]*\)", .*/\1/p' src/app/commands.c)
result "README.md names every subcommand" "$(for c in $commands; do
    grep -q -E "zouma $c" README.md || echo "zouma $c"
done)"
result "README.md names no other subcommand" "$(grep -o -E '(^|[`/ ])zouma [a-z]+( |$|`)' README.md | awk '{print $2}' | tr -d '`' | sort -u |
    while read -r c; do
        echo "$commands" | grep -q -x "$c" || echo "zouma $c"
    done)"

echo "1..$number"
exit $failed
