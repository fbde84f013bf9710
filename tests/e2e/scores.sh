#!/bin/sh
# Train a tiny model and a tiny detector, score the one with the other; what a file is; timings.  TAP.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null && have_python=1 || have_python=

# json NAME EXPRESSION: the JSON on the last command's stdout satisfies a Python expression over j.
json()
{
    if [ -z "$have_python" ]; then
        skip "$1" "python3 reads JSON here, and is not there"
        return
    fi
    check "$1" python3 -c "import json,sys; j = json.load(open(sys.argv[1])); sys.exit(not ($2))" "$dir/json.txt"
}
into_json() { "$@" >"$dir/json.txt"; }

check "a model is trained" tiny_model "$dir/model"
tiny_config "$dir/detector.yaml" detector "$dir/model"
check "a detector is trained" "$zouma" train "$dir/detector.yaml" --quiet
check "it is a file" test -s "$dir/model/detector.gguf"

check "the model is scored" into_json "$zouma" eval "$dir/model" --clips 4 --steps 2 --quiet --json --sheet "$dir/sheet.png"
json "four scenes, two of them again held out" "j['clips'] == 4 and j['held_out_clips'] == 2 and j['steps'] == 2"
json "every attribute has its ceiling" "len(j['attributes']) == 9 and all(a['asked'] == 0 or 0 <= a['ceiling'] <= 1 for a in j['attributes'])"
json "every column has its physics" "len(j['physics']) == 5"
check "the sheet is a picture" test -s "$dir/sheet.png"
check "the same again" into_json "$zouma" eval "$dir/model" --clips 4 --steps 2 --quiet --json
cp "$dir/json.txt" "$dir/again.txt"
check "the measure alone" into_json "$zouma" eval --ceiling --detector "$dir/model/detector.gguf" --clips 4 --quiet --json
json "no model, the same ceilings" "j['model'] is None and [a['ceiling'] for a in j['attributes']] == [a['ceiling'] for a in json.load(open('$dir/again.txt'))['attributes']]"
check "the autoencoder alone" into_json "$zouma" eval "$dir/model" --autoencoder --clips 4 --quiet --json
json "the same scenes through it, no step of a network" "j['autoencoder'] and j['steps'] == 0 and [p['name'] for p in j['physics']] == ['autoencoder', 'ceiling', 'held-out autoencoder', 'held-out ceiling'] and [a['ceiling'] for a in j['attributes']] == [a['ceiling'] for a in json.load(open('$dir/again.txt'))['attributes']]"
refuses "an autoencoder has no part in real renders" 2 "those of a model" "" "$zouma" eval "$dir/model" --autoencoder --ceiling
check "a table for people" "$zouma" eval "$dir/model" --clips 1 --steps 1 --quiet

printf 'a red ball bounces\n\n一只熊猫在雪地上跳\n' >"$dir/prompts.txt"
check "prompts of a text file" into_json "$zouma" eval "$dir/model" --prompts "$dir/prompts.txt" --steps 1 --quiet --json
json "two are told, none is scored" "len(j['prompts']) == 2 and j['share_right'] == {}"
printf '{"prompt": "two blue cubes fall", "object": "cube", "colour": ["blue"], "count": 2, "action": "fall", "light": "night"}\n' >"$dir/prompts.jsonl"
check "prompts of JSON lines" into_json "$zouma" eval "$dir/model" --prompts "$dir/prompts.jsonl" --steps 1 --quiet --json
json "scored on the keys they give" "set(j['share_right']) == {'object', 'colour', 'count', 'action', 'light'}"
printf '{"prompt": "a unicorn", "object": "unicorn"}\n' >"$dir/unicorn.jsonl"
refuses "an unknown object names file and line" 1 "unicorn.jsonl:1.*unicorn" "" "$zouma" eval "$dir/model" --prompts "$dir/unicorn.jsonl" --steps 1 --quiet
: >"$dir/empty.txt"
refuses "an empty file of prompts" 1 "no prompt" "" "$zouma" eval "$dir/model" --prompts "$dir/empty.txt" --quiet
refuses "a detector that is none" 1 "not a detector" "" "$zouma" eval "$dir/model" --detector "$dir/model/vae.gguf" --quiet
refuses "prompts have no real renders" 2 "ceiling" "" "$zouma" eval "$dir/model" --prompts "$dir/prompts.txt" --ceiling

check "what a file is" into_json "$zouma" info "$dir/model/detector.gguf" --tensors --json
json "its container and tensors" "j['container'] == 'gguf' and len(j['list']) == j['tensors'] and j['metadata']['zouma.detector.width'] == 32"
check "what a model is" into_json "$zouma" info "$dir/model" --json
json "its family and parts" "j['family'] == 'wan22-ti2v' and len(j['parts']) == 4 and j['video']['frames'] == 9"
check "the same for people" "$zouma" info "$dir/model"
refuses "a file that is not there" 1 "nothing.gguf" "" "$zouma" info "$dir/nothing.gguf"

check "timings" into_json "$zouma" bench text-encode vae-decode train --batch 2 --sizes "$dir/sizes.json" --seconds 0.01 --json
json "a row for each, in units of the measured peak" "[(r['name'], r['dtype']) for r in j['rows']] in ([('vae-decode', 'f32'), ('vae-decode', 'int8'), ('text-encode', 'f32'), ('train-step', 'f32')] + more for more in ([], [('train-step', 'bf16')])) and all(r['ms'] > 0 and r['gflops'] > 0 and abs(r['peak_share'] - r['gflops'] / j['peak_gflops']) < 1e-3 * r['peak_share'] for r in j['rows'])"
check "timings in bf16" into_json "$zouma" bench train --precision bf16 --batch 2 --sizes "$dir/sizes.json" --seconds 0.01 --json
json "stand beside those in f32" "[(r['name'], r['dtype']) for r in j['rows']] == [('train-step', 'f32'), ('train-step', 'bf16')]"
refuses "an unknown timing" 2 "nonsense" "" "$zouma" bench nonsense
check "films are looked at, clip after clip" into_json "$zouma" eval "$dir/model" --films 1 --seconds 3 --steps 1 --quiet --json
json "in its first clip all its bodies are there" "len(j['clips']) > 1 and all(j['clips'][0][k]['kept'] in (None, 100) for k in ('model', 'ceiling'))"
refuses "a film of one clip" 2 "are possible: the detector sees clips of" "" "$zouma" eval "$dir/model" --films 1 --seconds 1 --quiet
check "films through the autoencoder" into_json "$zouma" eval "$dir/model" --autoencoder --films 1 --seconds 3 --quiet --json
json "are a column of their own" "set(j['clips'][0]) == {'seconds', 'ceiling', 'autoencoder'}"
finish
