#!/bin/sh
# What people do wrong: each time one sentence on stderr, the right exit status, and no file under the final name.  TAP.
. "$(dirname "$0")/lib.sh"
out=$dir/clip.mp4
tiny=$dir/tiny

check "a tiny model can be trained" tiny_model "$tiny"
make() # the prompt and options of a small job
{
    "$zouma" generate -m "$tiny" -o "$out" "$@"
}

# ---- before anything is opened
refuses "no command and no prompt" 2 "is no command" "" "$zouma" bounce
refuses "generate without prompt" 2 "what should the video show" "$out" make
refuses "an empty prompt" 2 "prompt is empty" "$out" make ""
refuses "a prompt of blanks" 2 "prompt is empty" "$out" make "  	 "
refuses "an unknown option" 2 "unknown option --sedd.*did you mean --seed" "$out" make "a ball" --sedd 3
refuses "an option without its value" 2 "--seed needs a value" "$out" make "a ball" --seed
refuses "a number that is none" 2 "--steps is \"many\"" "$out" make "a ball" --steps many
refuses "a number out of range" 2 "--steps" "$out" make "a ball" --steps 0
refuses "an interval that is none" 2 "not two noise levels" "$out" make "a ball" --guidance-interval 0.9-0.2
refuses "a size that is none" 2 "--size is \"32by32\"" "$out" make "a ball" --size 32by32
refuses "a memory that is none" 2 "--memory lots is not a size" "$out" make "a ball" --memory lots
refuses "two prompts" 2 "one argument too many" "$out" make a ball
refuses "a device that is not there" 2 "device" "$out" make "a ball" --device quantum
refuses "8-bit floats without a card" 2 "runs on a card only" "$out" make "a ball" --precision fp8
refuses "training on 8-bit floats" 2 "gradients need more" "" "$zouma" train models/toybox/train/dit.yaml --device cuda-fp8
refuses "comparing on 8-bit floats" 2 "compared here is f32" "" "$zouma" parity . --device cuda-fp8
refuses "world without a place" 2 "where to" "" "$zouma" world
refuses "world without sense" 2 "split" "$dir/w" "$zouma" world "$dir/w" --split sideways
refuses "train without configuration" 2 "which configuration" "" "$zouma" train
refuses "parity without directories" 2 "." "" "$zouma" parity

# ---- a request that does not fit the model
refuses "a size the model cannot make" 2 "multiple of" "$out" make "a ball" --size 33x32
refuses "a solver that is not there" 2 "solver" "$out" make "a ball" --solver magic
refuses "a name that says no container" 1 "must end in" "$dir/clip.doc" "$zouma" generate -m "$tiny" -o "$dir/clip.doc" "a ball"
refuses "a folder that is not there" 1 "cannot|No such" "$dir/none/clip.mp4" "$zouma" generate -m "$tiny" -o "$dir/none/clip.mp4" "a ball"
refuses "a folder for a name" 1 "." "" "$zouma" generate -m "$tiny" -o "$dir/" "a ball"

refuses "too little memory" 1 "needs [0-9]+M at least" "$out" make "a ball" --memory 1M --quiet

# ---- pictures and adapters
echo "no picture" >"$dir/words.png"
refuses "a picture that is not there" 1 "nothing.png" "$out" make "a ball" --image "$dir/nothing.png"
refuses "a picture that is none" 1 "words.png" "$out" make "a ball" --image "$dir/words.png"
refuses "an adapter that is not there" 1 "nothing.safetensors" "$out" make "a ball" --lora "$dir/nothing.safetensors:0.5" --quiet

# ---- a model that is broken
refuses "no model there" 1 "$dir/nowhere" "$out" "$zouma" generate -m "$dir/nowhere" -o "$out" "a ball"
broken() # NAME PATTERN COMMAND...: change a copy of the model, then it must be refused
{
    what=$1 says=$2
    shift 2
    rm -rf "$dir/broken"
    cp -r "$tiny" "$dir/broken"
    "$@"
    refuses "$what" 1 "$says" "$out" "$zouma" generate -m "$dir/broken" -o "$out" "a ball"
}
cut_file() # FILE SHARE: keep the first SHARE percent
{
    size=$(wc -c <"$1")
    head -c $((size * $2 / 100)) "$1" >"$1.cut"
    mv "$1.cut" "$1"
}
for part in dit text vae; do
    for share in 0 1 50 99; do
        broken "$part.gguf cut to $share %" "$part.gguf" cut_file "$dir/broken/$part.gguf" $share
    done
    broken "no $part.gguf" "." rm "$dir/broken/$part.gguf"
done
broken "another file for weights" "dit.gguf" cp "$zouma" "$dir/broken/dit.gguf"
broken "no tokenizer" "." rm "$dir/broken/tokenizer.json"
broken "half a tokenizer" "tokenizer.json" cut_file "$dir/broken/tokenizer.json" 50
broken "half a config" "config.json" cut_file "$dir/broken/config.json" 50
broken "a config of other sizes" "." sed -i 's/"dim": 48/"dim": 96/' "$dir/broken/config.json"
broken "a config that asks for the impossible" "." sed -i 's/"num_layers": *1/"num_layers": -1/' "$dir/broken/config.json"

# ---- settings of a training
settings() # NAME PATTERN LINES
{
    printf '%s\n' "$3" >"$dir/bad.yaml"
    refuses "$1" "${4:-1}" "$2" "" "$zouma" train "$dir/bad.yaml"
}
settings "broken YAML" "bad.yaml" 'stage: [vae'
settings "a setting that is not there" "stages" 'stages: vae'
settings "a setting that is missing" "model|out|steps" 'stage: vae'
settings "a value of the wrong kind" "steps" "stage: vae
model: $dir/sizes.json
out: $dir/t
train:
  steps: soon"
refuses "a configuration that is not there" 1 "nowhere.yaml" "" "$zouma" train "$dir/nowhere.yaml"
finish
