#!/bin/sh
# A clip killed at some step and resumed has the frames of one that was left alone; a wrong resume is refused; a disk
# without room for the state does not end the run.  TAP.
. "$(dirname "$0")/lib.sh"
tiny=$dir/tiny
check "a tiny model can be trained" tiny_model "$tiny"
steps=1000

shoot() # NAME [OPTIONS]
{
    clip=$1
    shift
    "$zouma" generate -m "$tiny" "a red ball bounces" -o "$dir/$clip-%03d.png" --scale 1 --steps $steps --quiet "$@"
}
# In the background, so that $! is the program itself.
shoot_alone()
{
    exec "$zouma" generate -m "$tiny" "a red ball bounces" -o "$dir/cut-%03d.png" --scale 1 --steps $steps --quiet "$@"
}
pictures_of() { cat "$dir/$1"-???.png | cksum; }
state="$dir/cut-%03d.png.latents.safetensors"

check "a clip left alone" shoot whole --seed 7
whole=$(pictures_of whole)
for round in 1 2 3 4; do
    rm -f "$dir"/cut-*
    shoot_alone --seed 7 --save-every 0 >"$dir/out.txt" 2>&1 &
    pid=$!
    # Some moment after the first state is there.
    tries=0
    while [ ! -f "$state" ] && kill -0 $pid 2>/dev/null && [ $tries -lt 500 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    [ "$round" = 1 ] || sleep "$(awk -v r="$round" 'BEGIN {srand(); print 0.1 * (r - 2) + 0.1 * rand()}')"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -f "$state" ] && was="killed" || was="was done"
    if shoot cut --resume --seed 7 >"$dir/out.txt" 2>&1 && [ "$(pictures_of cut)" = "$whole" ]; then
        ok "round $round: $was, resumed: the same frames"
    else
        not_ok "round $round: $was, resumed: the same frames" "$(cat "$dir/out.txt")"
    fi
    if ls "$dir"/cut-*latents* >/dev/null 2>&1; then
        not_ok "round $round: nothing but frames is left" "$(ls "$dir")"
    else
        ok "round $round: nothing but frames is left"
    fi
done

# Stopped politely: a sentence that says how to go on; the seed is taken from the state.
rm -f "$dir"/cut-*
shoot_alone --save-every 0 --keep-latents >"$dir/out.txt" 2>"$dir/err.txt" &
pid=$!
while [ ! -f "$state" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
kill -INT $pid
wait $pid
status=$?
if [ $status = 1 ] && grep -q -e "--resume" "$dir/err.txt"; then
    ok "an interrupted run says how to go on"
else
    not_ok "an interrupted run says how to go on" "exit status $status: $(cat "$dir/err.txt")"
fi
refuses "another run's state is refused" 2 "its steps is \"$steps\", this one's \"9\"" "" shoot cut --resume --steps 9
check "resumed without a seed" shoot cut --resume --keep-latents
check "the finished latent is kept" test -s "$state"
rm -f "$dir"/cut-???.png
check "decoded again from the finished latent" shoot cut --resume
check "its frames are there" test -s "$dir/cut-009.png"

# Files may hold 4 KiB: a frame fits, a state does not.
(
    trap '' XFSZ
    ulimit -f 8 || exit 99
    "$zouma" generate -m "$tiny" "a red ball bounces" -o "$dir/small-%03d.png" --scale 1 --steps 20 --seed 7 --save-every 0
) >"$dir/out.txt" 2>"$dir/err.txt"
status=$?
if [ $status = 0 ] && [ "$(grep -c "could not be saved" "$dir/err.txt")" = 1 ]; then
    ok "no room for the state: said once, the clip is made"
else
    not_ok "no room for the state: said once, the clip is made" "exit status $status: $(cat "$dir/err.txt")"
fi

# ---- films of a model that looks back only: block by block, through a cache that is saved with the film's place
causal=$dir/causal
cp -r "$tiny" "$causal"
check "a model that looks back only" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$causal" "start=$tiny" dit.causal_block=1 \
    dit.causal_window=3 dit.causal_sink=1
film() # NAME [OPTIONS]
{
    clip=$1
    shift
    "$zouma" generate -m "$causal" "a red ball bounces" -o "$dir/$clip-%03d.png" --scale 1 --seed 7 --quiet "$@"
}
place="$dir/film-%03d.png.film.safetensors"
check "a film of many blocks" film left --frames 121 --steps 25
left=$(pictures_of left)
for round in 1 2 3 4; do
    rm -f "$dir"/film-*
    (exec "$zouma" generate -m "$causal" "a red ball bounces" -o "$dir/film-%03d.png" --scale 1 --seed 7 --quiet --frames 121 --steps 25 --save-every 0) >"$dir/out.txt" 2>&1 &
    pid=$!
    tries=0
    while [ ! -f "$place" ] && kill -0 $pid 2>/dev/null && [ $tries -lt 1000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    sleep "$(awk -v r="$round" 'BEGIN {srand(); print 0.1 * (r - 1) + 0.1 * rand()}')"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -f "$place" ] && was="killed" || was="was done"
    if film film --resume --frames 121 --steps 25 >"$dir/out.txt" 2>&1 && [ "$(pictures_of film)" = "$left" ]; then
        ok "round $round: a film $was, resumed: the same frames"
    else
        not_ok "round $round: a film $was, resumed: the same frames" "$(cat "$dir/out.txt")"
    fi
    if ls "$dir"/film-*safetensors* >/dev/null 2>&1; then not_ok "round $round: nothing but frames is left" "$(ls "$dir")"; else ok "round $round: nothing but frames is left"; fi
done
check "a film goes on like itself: its beginning is the short one's" film short --frames 41 --steps 25
if [ "$(cat "$dir"/left-0[0-3]?.png | cksum)" = "$(cat "$dir"/short-0[0-3]?.png | cksum)" ]; then
    ok "whose frames are the same"
else
    not_ok "whose frames are the same" "$(ls "$dir")"
fi
peak() { film "$1" --frames "$2" --steps 2 --threads 1 --json | sed -n 's/.*"peak_rss_bytes": \([0-9]*\).*/\1/p'; }
few=$(peak few 77)
many=$(peak many 797)
if [ "${many:-0}" -gt 0 ] && [ "$many" -le $((few + 2097152)) ]; then
    ok "200 blocks take the memory of 20: $many and $few bytes"
else
    not_ok "200 blocks take the memory of 20" "$many and $few bytes"
fi
finish
