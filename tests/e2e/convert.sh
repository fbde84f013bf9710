#!/bin/sh
# zouma convert: every type from the bundled model's transformer, told again by info, run by generate; wrong use.  TAP.
. "$(dirname "$0")/lib.sh"
out=$dir/out.gguf

refuses "nothing to convert" 2 "--type is needed" "" "$zouma" convert
refuses "no name to write" 2 "name of the file to write" "" "$zouma" convert in --type q4_k
refuses "a type that is not there" 2 "q9_k is none of: f32 f16" "$out" "$zouma" convert in "$out" --type q9_k
refuses "a type for computing" 2 "i32 is none of" "$out" "$zouma" convert in "$out" --type i32
refuses "a file that is not there" 1 "$dir/none: cannot open" "$out" "$zouma" convert "$dir/none" "$out" --type q4_k
echo "no weights at all" >"$dir/text"
refuses "a file without weights" 1 "$dir/text: begins with" "$out" "$zouma" convert "$dir/text" "$out" --type q4_k

if ! have_model; then
    skip "conversion of a model" "no bundled model"
    finish
fi
dit=$model/$(basename "$(ls "$model"/dit.* | head -n 1)")
refuses "a folder that is not there" 1 "none/out.gguf" "" "$zouma" convert "$dit" "$dir/none/out.gguf" --type q4_k

size() # FILE: bytes
{
    wc -c <"$1" | tr -d ' '
}
last=0
for type in q2_k q3_k q4_0 q4_k q4_1 q5_0 q5_k q5_1 q6_k q8_0 f16 f32; do # by bits a weight, sizes must not fall
    check "$type: converted" "$zouma" convert "$dit" "$dir/$type.gguf" --type $type --quiet
    now=$(size "$dir/$type.gguf")
    [ "$now" -ge "$last" ] && ok "$type: $now bytes" || not_ok "$type: size" "$now bytes, fewer than the $last of smaller weights"
    last=$now
    upper=$(echo $type | tr 'qkf' 'QKF')
    check "$type: info knows it" sh -c "'$zouma' info '$dir/$type.gguf' | grep -q '\"$upper\"'"
done
check "info knows the family and the heads of the file alone" \
    sh -c "'$zouma' info '$dir/q4_k.gguf' | tr '\n' ' ' | grep -q 'wan22-ti2v.*\"num_heads\": 4'"
check "bf16 as well" "$zouma" convert "$dit" "$dir/bf16.gguf" --type bf16 --quiet
check "f32 of f32 is the same" sh -c "'$zouma' convert '$dir/f32.gguf' '$dir/again.gguf' --type f32 --quiet && cmp '$dir/f32.gguf' '$dir/again.gguf'"
check "in place of its source" sh -c "'$zouma' convert '$dir/again.gguf' '$dir/again.gguf' --type q8_0 --quiet && cmp '$dir/again.gguf' '$dir/q8_0.gguf' || true"
check "one thread writes the same bytes" \
    sh -c "'$zouma' convert '$dit' '$dir/one.gguf' --type q4_k --threads 1 --quiet && cmp '$dir/one.gguf' '$dir/q4_k.gguf'"

# The mean of two files.
check "the mean of a file and itself is the file" \
    sh -c "'$zouma' convert '$dir/f32.gguf' '$dir/mean.gguf' --average '$dir/f32.gguf' --type f32 --quiet && cmp '$dir/f32.gguf' '$dir/mean.gguf'"
check "a mean in f32" sh -c "'$zouma' convert '$dir/q2_k.gguf' '$dir/rough.gguf' --type f32 --quiet &&
    '$zouma' convert '$dir/f32.gguf' '$dir/mean.gguf' --average '$dir/rough.gguf' --type f32 --quiet"
check "of files of two types it is the same" \
    sh -c "'$zouma' convert '$dir/f32.gguf' '$dir/again.gguf' --average '$dir/q2_k.gguf' --type f32 --quiet && cmp '$dir/mean.gguf' '$dir/again.gguf'"
if command -v python3 >/dev/null; then
    check "it is half of the one and half of the other" python3 -c "
import array, sys
a, b, m = (array.array('f', open(n, 'rb').read()[-4000000:]) for n in sys.argv[1:])
sys.exit(not all(abs(z - (x + y) / 2) <= 1e-7 * (abs(x) + abs(y)) for x, y, z in zip(a, b, m)) or a == m)
" "$dir/f32.gguf" "$dir/rough.gguf" "$dir/mean.gguf"
else
    skip "it is half of the one and half of the other" "python3 reads floats here, and is not there"
fi
refuses "no mean of two networks" 1 "no tensor patch_embedding.weight" "$dir/none.gguf" "$zouma" convert "$dit" "$dir/none.gguf" --average "$(ls "$model"/vae.* | head -n 1)" --type f32 --quiet

# A clip from a model whose transformer is quantised.
mkdir "$dir/model"
cp "$model"/config.json "$model"/text.* "$model"/vae.* "$model"/tokenizer.json "$dir/model/"
for type in q4_k q8_0; do
    rm -f "$dir/model"/dit.*
    cp "$dir/$type.gguf" "$dir/model/$(basename "$dit")"
    check "$type: makes a clip" "$zouma" generate "a red ball rolls" -m "$dir/model" -o "$dir/$type.png" --frames 1 --steps 4 --seed 5 --quiet
done
finish
