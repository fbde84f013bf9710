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
finish
