#!/bin/sh
# Train a tiny model from nothing, on the toy-box world and on a folder of clips, make a clip with it; stop and go on.  TAP.
. "$(dirname "$0")/lib.sh"

generate() # MODEL
{
    "$zouma" generate -m "$1" -o "$1/clip-%03d.png" "a red ball bounces" --seed 3 --scale 1 --quiet
}

check "a model is trained on the world" tiny_model "$dir/world-model"
for part in config.json vae.gguf dit.gguf text.gguf tokenizer.json train-vae/log.csv train-vae/loss.png train-dit/log.csv; do
    check "it has $part" test -s "$dir/world-model/$part"
done
check "it makes a clip" generate "$dir/world-model"
check "the clip has its nine frames" test -s "$dir/world-model/clip-009.png"

cp -r "$dir/world-model" "$dir/causal-model"
check "it is trained on to look back only" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$dir/causal-model" \
    "start=$dir/world-model" dit.causal_block=1 dit.causal_window=2 dit.causal_sink=1
check "info says so" sh -c "'$zouma' info '$dir/causal-model' |
    grep -q 'looks back only: blocks of 1 latent frame, a window of 2 blocks, a sink of 1'"
check "it makes a clip" generate "$dir/causal-model"
check "it is trained on with products in bf16" "$zouma" train "$dir/dit.yaml" --quiet --set "out=$dir/causal-model" \
    "start=$dir/world-model" train.precision=bf16
check "and makes a clip with them" "$zouma" generate -m "$dir/causal-model" -o "$dir/bf16.gif" "a red ball" --precision bf16 --quiet
check "a converted file knows it too" sh -c "'$zouma' convert '$dir/causal-model/dit.gguf' '$dir/causal.gguf' --type q8_0 &&
    '$zouma' info '$dir/causal.gguf' --json | grep -q '\"causal\"'"
refuses "it makes no loop, and says why" 2 "no frame of it sees a later one" "" \
    "$zouma" generate -m "$dir/causal-model" --loop -o "$dir/loop.mp4" "a red ball" --quiet

# Few steps: an adapter beside the model, and what a model without one says.
refuses "few steps are refused before they are learnt" 2 "no adapter for few steps" "$dir/f.png" "$zouma" generate -m "$dir/world-model" -o "$dir/f.png" "a red ball" --quality fast --quiet
tiny_config "$dir/distill.yaml" distill "$dir/world-model"
printf 'start: %s\ndistill:\n  steps: 2\n  fine: 2\n  paths: 8\n  rank: 2\n' "$dir/world-model" >>"$dir/distill.yaml"
sed -i "s|^model: .*|model: $dir/world-model/config.json|" "$dir/distill.yaml"
check "a model learns few steps" "$zouma" train "$dir/distill.yaml" --quiet
check "its adapter is there" test -s "$dir/world-model/fast.safetensors"
check "zouma info names it" sh -c "'$zouma' info '$dir/world-model' | grep -q 'quality fast.*\"steps\": 2'"
check "it makes a clip in them" sh -c "'$zouma' generate -m '$dir/world-model' -o '$dir/f.gif' 'a red ball' --quality fast --json | grep -q '\"steps\": 2'"
check "or what guidance does" "$zouma" train "$dir/distill.yaml" --quiet --set distill.teach=guidance
check "and says with which solver" sh -c "'$zouma' info '$dir/world-model' | grep -q 'quality fast.*\"solver\": \"unipc\"'"
check "it makes a clip so" sh -c "'$zouma' generate -m '$dir/world-model' -o '$dir/f.gif' 'a red ball' --quality fast --json | grep -q '\"guidance\": 1'"

check "the world writes clips" "$zouma" world "$dir/clips" --clips 12 --seed 5 --size 32x32 --frames 9 --quiet
data="  kind: folder
  path: $dir/clips"
check "a model is trained on that folder" tiny_model "$dir/folder-model" "$data"
check "it makes a clip, too" generate "$dir/folder-model"
refuses "clips without captions are refused" 1 "." "" sh -c "rm '$dir/clips/'*.txt; '$zouma' train '$dir/vae.yaml' --quiet"

# The same settings give the same model, and a stopped training goes on where it was.
tiny_config "$dir/long.yaml" vae "$dir/straight"
losses() { cut -d, -f1,2 "$1/train-vae/log.csv"; }
check "twelve steps" "$zouma" train "$dir/long.yaml" --quiet --set train.steps=12
check "twelve steps again, stopped after every checkpoint" sh -c "
    '$zouma' train '$dir/long.yaml' --quiet --set train.steps=12 out=$dir/again train.checkpoint_seconds=0 & pid=\$!
    while [ ! -f '$dir/again/train-vae/checkpoint.safetensors' ] && kill -0 \$pid 2>/dev/null; do sleep 0.02; done
    kill -9 \$pid 2>/dev/null; wait \$pid
    '$zouma' train '$dir/long.yaml' --quiet --resume --set train.steps=12 out=$dir/again train.checkpoint_seconds=0"
if [ "$(losses "$dir/straight")" = "$(losses "$dir/again")" ]; then
    ok "a killed and resumed training has the same losses"
else
    # Sums spread over threads may differ in the last digits.
    losses "$dir/straight" >"$dir/a.csv"
    losses "$dir/again" >"$dir/b.csv"
    if paste -d, "$dir/a.csv" "$dir/b.csv" | awk -F, 'NR > 1 && ($1 != $3 || ($2 - $4) ^ 2 > (1e-4 * $2) ^ 2) {bad = 1} END {exit bad || NR != 13}'; then
        ok "a killed and resumed training has the same losses"
    else
        not_ok "a killed and resumed training has the same losses" "$(paste -d, "$dir/a.csv" "$dir/b.csv")"
    fi
fi
refuses "resuming with another seed is refused" 1 "another configuration" "" "$zouma" train "$dir/long.yaml" --quiet --resume --set train.steps=12 seed=9
finish
