#!/bin/sh
# Every way of making video, with a model of a few thousand parameters: what is given comes out bit for bit, films of many
# windows go on after a kill, and plans without sense are refused in one sentence.  TAP.
. "$(dirname "$0")/lib.sh"
tiny=$dir/tiny
check "a tiny model can be trained" tiny_model "$tiny"
if ! command -v ffprobe >/dev/null 2>&1; then
    skip "ways of making video" "no ffprobe to look at them with"
    finish
fi

shoot() # NAME OPTIONS: a clip without enlargement
{
    name_of=$1
    shift
    "$zouma" generate -m "$tiny" -o "$dir/$name_of" --scale 1 --seed 3 --quiet "$@"
}
sums() { ffmpeg -v error -i "$dir/$1" -f framemd5 - | grep -v '^#' | awk '{print $NF}'; }
frames() { sums "$1" | wc -l | tr -d ' '; }
has() # NAME FILE FRAMES
{
    got=$(frames "$2")
    if [ "$got" = "$3" ]; then ok "$1: $3 frames"; else not_ok "$1: $3 frames" "$got frames"; fi
}
alike() # NAME COMMAND-A COMMAND-B: the same lines
{
    if [ "$(eval "$2")" = "$(eval "$3")" ]; then ok "$1"; else not_ok "$1" "$2 and $3 differ"; fi
}

# ---- pictures and clips
check "text to picture" shoot one.png "a red ball"
check "text to video" shoot a.apng "a red ball" --frames 9
has "text to video" a.apng 9
check "picture to video" shoot image.apng "a red ball" --image "$dir/one.png"
check "the picture through the autoencoder alone" shoot through.png "a red ball" --image "$dir/one.png" --frames 1
first() { ffmpeg -v error -i "$dir/$1" -frames:v 1 -f rawvideo -pix_fmt rgb24 - | cksum; }
alike "picture to video: the first frame is the autoencoder's own of the picture, bit for bit" "first through.png" "first image.apng"
check "from one picture to another" shoot images.apng "a red ball" --image "$dir/one.png" --last "$dir/one.png"
check "a size and shape of the grid" shoot wide.apng "a red ball" --size 48x16 --frames 5
check "a loop" shoot loop.apng "a red ball" --loop
has "a loop" loop.apng 8

# ---- given videos
check "extend" shoot extend.apng "a red ball" --extend "$dir/a.apng" --frames 20
has "extend" extend.apng 29
alike "extend: the given frames are the first, bit for bit" "sums a.apng" "sums extend.apng | head -n 9"
check "backward" shoot back.apng "a red ball" --extend "$dir/a.apng" --backward --frames 20
has "backward" back.apng 29
alike "backward: the given frames are the last, bit for bit" "sums a.apng" "sums back.apng | tail -n 9"
check "join" shoot join.apng "a red ball" --extend "$dir/a.apng" --join "$dir/image.apng" --frames 10
has "join" join.apng 30
alike "join: the first clip's frames" "sums a.apng" "sums join.apng | head -n 9"
alike "join: the second clip's frames" "sums image.apng" "sums join.apng | tail -n 9"
check "edit" shoot edit.apng "a blue cube" --video "$dir/extend.apng" --strength 0.5
has "edit" edit.apng 29
check "inpaint in time" shoot frames.apng "a blue cube" --video "$dir/extend.apng" --mask 9-16
alike "inpaint in time: the frames before" "sums extend.apng | head -n 8" "sums frames.apng | head -n 8"
alike "inpaint in time: the frames after" "sums extend.apng | tail -n 13" "sums frames.apng | tail -n 13"
ffmpeg -v error -f lavfi -i "color=black:s=32x32,drawbox=x=16:y=0:w=16:h=32:color=white:t=fill" -frames:v 1 "$dir/mask.png"
check "inpaint in space" shoot space.apng "a blue cube" --video "$dir/a.apng" --mask "$dir/mask.png"
left() { ffmpeg -v error -i "$dir/$1" -vf crop=16:32:0:0 -f framemd5 - | grep -v '^#' | awk '{print $NF}'; }
alike "inpaint in space: what is black stays, bit for bit" "left a.apng" "left space.apng"
if [ "$(sums a.apng)" != "$(sums space.apng)" ]; then ok "inpaint in space: what is white does not"; else not_ok "inpaint in space: what is white does not" ""; fi
ffmpeg -v error -i "$dir/a.apng" -vf scale=50:34:flags=neighbor -f apng -plays 0 "$dir/odd.apng"
check "a video of any size" shoot odd-on.apng "a red ball" --extend "$dir/odd.apng" --frames 4
alike "a video of any size: its frames stay" "sums odd.apng" "sums odd-on.apng | head -n 9"

# ---- storyboards
cat >"$dir/board.yaml" <<'Y'
shots:
  - {prompt: a red ball, seconds: 2}
  - {prompt: a blue cube, seconds: 1, transition: cut}
  - {prompt: a green ball, start: 3, seconds: 2, transition: dissolve, dissolve: 0.5}
  - {prompt: a dog, seconds: 1}
Y
board() { "$zouma" generate -m "$tiny" -o "$dir/$1" --scale 1 --seed 3 --quiet --storyboard "$2"; }
check "a storyboard" board board.apng "$dir/board.yaml"
has "a storyboard" board.apng 48
check "a storyboard on the command line" board inline.apng "[{prompt: a red ball, seconds: 1}, {prompt: a cube, seconds: 1}]"
has "a storyboard on the command line" inline.apng 16
bad_board() # NAME PATTERN YAML
{
    refuses "$1" 2 "$2" "$dir/bad.mp4" board bad.mp4 "$3"
}
bad_board "a shot before the film" "begins at -3 s" "[{prompt: a, start: -3}]"
bad_board "shots that overlap" "before shot 1 ends" "[{prompt: a, seconds: 2}, {prompt: b, start: 1}]"
bad_board "shots that leave a gap" "ends at 2 s" "[{prompt: a, seconds: 2}, {prompt: b, start: 3}]"
bad_board "a shot without end" "86400 at most" "[{prompt: a, seconds: 1e12}]"
bad_board "a day of film" "films of 216000" "[{prompt: a, seconds: 80000}]"
bad_board "a shot that says nothing" "prompt of shot 1 is empty" "[{prompt: ' '}]"
bad_board "no shots" "no shots" "[]"
refuses "a transition that is none" 1 "one of continue" "$dir/bad.mp4" board bad.mp4 "[{prompt: a, transition: wipe}]"
refuses "a picture that is not there" 1 "nope.png" "$dir/bad.mp4" board bad.mp4 "[{prompt: a, picture: nope.png}]"
refuses "a storyboard that is not there" 1 "nowhere.yaml" "$dir/bad.mp4" board bad.mp4 "$dir/nowhere.yaml"

# ---- plans without sense
: >"$dir/empty.mp4"
refuse() # NAME STATUS PATTERN OPTIONS
{
    what=$1 status=$2 says=$3
    shift 3
    refuses "$what" "$status" "$says" "$dir/bad.mp4" shoot bad.mp4 "a ball" "$@"
}
refuse "a video of no bytes" 1 "not a video" --extend "$dir/empty.mp4"
refuse "a million frames" 2 "1000000" --frames 1000000
refuse "more than an hour at 60 a second" 2 "864000 frames are too many" --seconds 3600 --fps 240
refuse "a picture for a video" 2 "a picture, where a video is needed" --video "$dir/one.png"
refuse "a mask without a video" 2 "give it a video" --mask 3-4
refuse "a mask beyond the video" 2 "has the frames 1-9" --video "$dir/a.apng" --mask 4-30
refuse "a mask that runs backwards" 2 "no range of frames" --video "$dir/a.apng" --mask 9-2
refuse "a strength of 2" 2 "strength" --video "$dir/a.apng" --strength 2
refuse "backward without a video" 2 "give it a video" --backward
refuse "join without a video" 2 "give both" --join "$dir/a.apng"
refuse "a loop that is too long" 2 "8 frames at most" --loop --frames 40
refuse "a loop of a picture" 2 "from text alone" --loop --image "$dir/one.png"
refuse "two things at once" 2 "goes with no other" --video "$dir/a.apng" --loop
refuses "many frames as one picture" 2 "holds one picture" "$dir/bad.png" shoot bad.png "a ball" --frames 3
# A picture that claims 60000 x 60000 pixels.
printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\352\140\0\0\352\140\010\002\0\0\0\0\0\0\0\0\0\0\001IDAT\0\0\0\0\0\0\0\0\0IEND\0\0\0\0' >"$dir/bomb.png"
refuse "a picture bomb" 1 "bomb.png" --image "$dir/bomb.png"

# ---- films of many windows
check "a long film" shoot long.mp4 "a red ball bounces" --frames 120 --steps 50
has "a long film" long.mp4 120
whole=$(cksum <"$dir/long.mp4")
for round in 1 2 3; do
    rm -f "$dir"/cut.mp4*
    (exec "$zouma" generate -m "$tiny" -o "$dir/cut.mp4" --scale 1 --seed 3 --quiet "a red ball bounces" --frames 120 --steps 50 --save-every 0) >"$dir/out.txt" 2>&1 &
    pid=$!
    tries=0
    while [ ! -f "$dir/cut.mp4.film.safetensors" ] && kill -0 $pid 2>/dev/null && [ $tries -lt 2000 ]; do
        sleep 0.01
        tries=$((tries + 1))
    done
    sleep "$(awk -v r="$round" 'BEGIN {srand(); print 0.2 * (r - 1) + 0.2 * rand()}')"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    grown=$(frames cut.mp4 2>/dev/null)
    if [ "${grown:-0}" -gt 0 ]; then ok "round $round: what grew can be played: $grown frames"; else not_ok "round $round: what grew can be played" "$(ls -l "$dir")"; fi
    if shoot cut.mp4 "a red ball bounces" --frames 120 --steps 50 --resume >"$dir/out.txt" 2>&1 && [ "$(cksum <"$dir/cut.mp4")" = "$whole" ]; then
        ok "round $round: killed, resumed: the same bytes"
    else
        not_ok "round $round: killed, resumed: the same bytes" "$(cat "$dir/out.txt")"
    fi
    if ls "$dir"/cut.mp4.* >/dev/null 2>&1; then not_ok "round $round: nothing else is left" "$(ls "$dir")"; else ok "round $round: nothing else is left"; fi
done

# ---- a model that looks back only: block by block
causal=$dir/causal
cp -r "$tiny" "$causal"
check "a model that looks back only" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$causal" "start=$tiny" dit.causal_block=2 \
    dit.causal_window=2 dit.causal_sink=1
back() # NAME OPTIONS
{
    name_of=$1
    shift
    "$zouma" generate -m "$causal" -o "$dir/$name_of" --scale 1 --seed 3 --quiet "$@"
}
check "blocks: a clip" back b.apng "a red ball" --frames 30
has "blocks: a clip" b.apng 30
check "blocks: a picture" back b.png "a red ball"
alike "blocks: a picture is the first frame of a clip" "sums b.png" "sums b.apng | head -n 1"
check "blocks: from a picture" back b-image.apng "a red ball" --image "$dir/one.png" --frames 20
has "blocks: from a picture" b-image.apng 20
check "blocks: extend" back b-on.apng "a red ball" --extend "$dir/a.apng" --frames 20
has "blocks: extend" b-on.apng 29
alike "blocks: the given frames are the first, bit for bit" "sums a.apng" "sums b-on.apng | head -n 9"
check "blocks: edit" back b-edit.apng "a blue cube" --video "$dir/extend.apng" --strength 0.5
has "blocks: edit" b-edit.apng 29
check "blocks: a storyboard" "$zouma" generate -m "$causal" -o "$dir/b-board.apng" --scale 1 --seed 3 --quiet --storyboard "$dir/board.yaml"
has "blocks: a storyboard" b-board.apng 48
check "blocks: the prompt changes in the middle" back b-two.apng --storyboard "[{prompt: a red ball, seconds: 2}, {prompt: a dog, seconds: 2}]"
check "blocks: or does not" back b-one.apng --storyboard "[{prompt: a red ball, seconds: 2}, {prompt: a red ball, seconds: 2}]"
alike "blocks: the same up to there" "sums b-two.apng | head -n 21" "sums b-one.apng | head -n 21"
check "blocks: no more behind it" sh -c "[ '$(sums b-two.apng | tail -n 4 | cksum)' != '$(sums b-one.apng | tail -n 4 | cksum)' ]"
refuses "blocks: a shot that is too short" 2 "too short to continue" "$dir/bad.mp4" back bad.mp4 --storyboard "[{prompt: a, seconds: 1}, {prompt: b, seconds: 0.2}]"
refuses "blocks: windows" 2 "block by block, 8 frames each" "$dir/bad.mp4" back bad.mp4 "a ball" --window 17
refuses "blocks: a last picture" 2 "no last picture" "$dir/bad.mp4" back bad.mp4 "a ball" --image "$dir/one.png" --last "$dir/one.png"
check "blocks: explained" "$zouma" explain -m "$causal" -o "$dir/b.html" "a red ball" --seed 3 --quiet
sed -n 's/.*id="clip"[^>]*src="data:image\/apng;base64,\([^"]*\)".*/\1/p' "$dir/b.html" | base64 -d >"$dir/b-inside.apng"
check "blocks: the page says so" grep -q "made in 2 pieces of 2 latent" "$dir/b.html"
check "blocks: the same clip" back b-nine.apng "a red ball"
alike "blocks: the page shows what generate makes" "cksum <$dir/b-nine.apng" "cksum <$dir/b-inside.apng"
refuses "blocks: a film is not explained" 2 "too long to explain" "" "$zouma" explain -m "$causal" -o "$dir/c.html" "a red ball" --frames 50 --quiet
check "pictures per frame" shoot p-%03d.png "a red ball bounces" --frames 30
if [ "$(find "$dir" -name 'p-*.png' | wc -l | tr -d ' ')" = 30 ]; then ok "pictures per frame: 30 files"; else not_ok "pictures per frame: 30 files" "$(ls "$dir")"; fi
check "the answer as JSON" sh -c "'$zouma' generate -m '$tiny' -o '$dir/j.mp4' 'a ball' --seed 3 --quiet --json --extend '$dir/a.apng' --frames 4 | grep -q '\"mode\": \"extend\"'"

# ---- a model trained both ways: clips whole, films block by block, and every mode
both=$dir/both
cp -r "$tiny" "$both"
check "a model trained both ways" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$both" "start=$tiny" dit.causal_block=2 \
    dit.causal_window=2 dit.causal_sink=1 dit.causal_share=0.5 data.frames=25 data.sustained=0.5
check "both ways: info says so" sh -c "'$zouma' info '$both' | grep -q 'a sink of 1; or both ways, in clips'"
way() # NAME OPTIONS
{
    name_of=$1
    shift
    "$zouma" generate -m "$both" -o "$dir/$name_of" --scale 1 --seed 3 --quiet "$@"
}
check "both ways: a clip" way w.apng "a red ball"
has "both ways: a clip" w.apng 9
check "both ways: a loop" way w-loop.apng "a red ball" --loop
check "both ways: to a last picture" way w-last.apng "a red ball" --last "$dir/one.png"
check "both ways: a film" way w-film.apng "a red ball" --frames 40
has "both ways: a film" w-film.apng 40
check "both ways: extend" way w-on.apng "a red ball" --extend "$dir/a.apng" --frames 20
has "both ways: extend" w-on.apng 29
check "both ways: lead to a video" way w-back.apng "a red ball" --extend "$dir/a.apng" --backward --frames 20
has "both ways: lead to a video" w-back.apng 29
check "both ways: a storyboard" "$zouma" generate -m "$both" -o "$dir/w-board.apng" --scale 1 --seed 3 --quiet --storyboard "$dir/board.yaml"
has "both ways: a storyboard" w-board.apng 48
refuses "both ways: training on needs a share" 2 "dit.causal_share says how much" "" "$zouma" train "$dir/dit.yaml" --quiet \
    --set "out=$both" "start=$both" "model=$both/config.json"
# ---- stretches of clips: what the latents were divided by stays, though other clips would say otherwise
looks=$dir/looks
cp -r "$both" "$looks"
stats() # MODEL
{
    tr -d ' \n' <"$1/config.json" | sed 's/.*"latents_mean":\([^]]*\].*"latents_std":[^]]*\).*/\1/'
}
check "stretches: trained on" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$looks" "start=$both" "model=$both/config.json" \
    dit.causal_share=0.5 dit.causal_block=2 data.frames=5 data.things=1 data.seed=900
alike "stretches: the latents' scale is kept" "stats '$both'" "stats '$looks'"
check "stretches: the latents' scale is there" sh -c "tr -d ' \n' <'$looks/config.json' | grep -q '\"latents_mean\":\[-\{0,1\}[0-9]'"
check "stretches: and it makes clips" "$zouma" generate -m "$looks" -o "$dir/looks.apng" --scale 1 --quiet "a red ball"
has "stretches: and it makes clips" looks.apng 9
check "an autoencoder trained once more, in its place" "$zouma" train "$dir/vae.yaml" --quiet --set "out=$looks" "start=$looks"
check "and a network on it" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$looks" "start=$looks" "model=$both/config.json" \
    dit.causal_share=0.5 dit.causal_block=2
check "its latents are measured anew" sh -c "tr -d ' \n' <'$looks/config.json' | grep '\"latents_mean\":\[' | grep -vq '\"latents_mean\":\[0.0,0.0'"
refuses "stretches: nothing to start from" 1 "is no directory of a model" "" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$looks" \
    "start=$dir/nowhere" data.frames=5
refuses "stretches: of 4n+1 frames" 2 "takes 4n" "" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$looks" "start=$both" data.frames=6
finish
