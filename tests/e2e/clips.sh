#!/bin/sh
# Clips of the bundled model: readable, as long as promised, the same for a seed and another for another.  TAP.
. "$(dirname "$0")/lib.sh"
if ! have_model; then
    skip "clips of the bundled model" "models/toybox has no weights yet"
    finish
fi

frames_of()
{
    ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1" 2>/dev/null | tr -d ','
}
# Bytes of every decoded frame, hashed; without ffmpeg the numbered pictures are compared instead.
pictures_of() { cat "$1"-*.png | cksum; }

film() # NAME PROMPT
{
    "$zouma" "$2" -o "$dir/$1.mp4" --seed 5 --quiet >"$dir/out.txt" 2>"$dir/err.txt"
    status=$?
    if [ $status != 0 ] || [ ! -s "$dir/$1.mp4" ]; then
        not_ok "$1: made" "exit status $status: $(cat "$dir/err.txt")"
        return
    fi
    ok "$1: made"
    if ! command -v ffprobe >/dev/null; then
        skip "$1: at least 16 frames can be read" "no ffprobe"
        return
    fi
    n=$(frames_of "$dir/$1.mp4")
    if [ "${n:-0}" -ge 16 ]; then
        ok "$1: at least 16 frames can be read"
    else
        not_ok "$1: at least 16 frames can be read" "${n:-no} frames"
    fi
}
film english "a red ball bounces on the grass at sunset"
film chinese "一个红色的球在草地上弹跳"

shoot() # NAME SEED [OPTIONS]
{
    name=$1 seed=$2
    shift 2
    "$zouma" generate "a blue cube slides to the left" -o "$dir/$name-%03d.png" --scale 1 --steps 6 --seed "$seed" --quiet "$@" 2>"$dir/err.txt" ||
        cat "$dir/err.txt"
}
shoot one 11
shoot two 11
shoot other 12
shoot threads 11 --threads 1
unset OMP_WAIT_POLICY # the program starts itself anew
shoot waiting 11
export OMP_WAIT_POLICY=passive
one=$(pictures_of "$dir/one") two=$(pictures_of "$dir/two") other=$(pictures_of "$dir/other") threads=$(pictures_of "$dir/threads")
same() # NAME A B
{
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "$2 and $3"; fi
}
different()
{
    if [ "$2" != "$3" ]; then ok "$1"; else not_ok "$1" "both $2"; fi
}
same "the same seed gives the same pictures" "$one" "$two"
different "another seed gives other pictures" "$one" "$other"
same "the number of threads changes nothing" "$one" "$threads"
same "how threads wait changes nothing" "$one" "$(pictures_of "$dir/waiting")"

"$zouma" generate "a blue cube slides to the left" -o "$dir/j.mp4" --steps 2 --seed 7 --json >"$dir/json.txt" 2>/dev/null
for word in '"path":' '"seed": 7' '"seconds":' '"first_step_seconds":' '"steps": 2' '"prompt":' '"solver":'; do
    if grep -q -F "$word" "$dir/json.txt"; then ok "--json says $word"; else not_ok "--json says $word" "$(cat "$dir/json.txt")"; fi
done
same "--json prints one line" "$(wc -l <"$dir/json.txt")" 1

for name in a.webm a.gif a.apng; do
    check "$name is written" "$zouma" generate "a blue cube slides to the left" -o "$dir/$name" --steps 2 --quiet
done
finish
