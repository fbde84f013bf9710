#!/bin/sh
# zouma explain: one page that is complete in itself, the very clip of generate, hostile prompts, wrong use.  TAP.
. "$(dirname "$0")/lib.sh"
page=$dir/page.html
hostile='a red ball <script>alert(1)</script> & "it'\''s" \x'
refuses "no prompt" 2 "what should the video show" "$page" "$zouma" explain -o "$page"
refuses "an empty prompt" 2 "prompt is empty" "$page" "$zouma" explain " " -o "$page"
refuses "a name that is no page" 2 "must end in .html" "$dir/page.mp4" "$zouma" explain "a ball" -o "$dir/page.mp4"
refuses "an unknown option" 2 "unknown option --step.*did you mean --steps" "$page" "$zouma" explain "a ball" -o "$page" --step 3
refuses "no model there" 1 "nowhere" "$page" "$zouma" explain "a ball" -m "$dir/nowhere" -o "$page"
if ! have_model; then
    skip "a page of the bundled model" "models/toybox has no weights yet"
    finish
fi
refuses "a folder that is not there" 1 "cannot|No such" "$dir/none/page.html" "$zouma" explain "a ball" -o "$dir/none/page.html"
refuses "more frames than one window" 2 "too long to explain" "$page" "$zouma" explain "a ball" -o "$page" --frames 400
refuses "a size the model cannot make" 2 "multiple of" "$page" "$zouma" explain "a ball" -o "$page" --size 33x32
refuses "a solver that is not there" 2 "solver" "$page" "$zouma" explain "a ball" -o "$page" --solver magic

"$zouma" explain "$hostile" -o "$page" --steps 3 --seed 9 --json >"$dir/json.txt" 2>"$dir/err.txt"
status=$?
if [ $status = 0 ] && [ -s "$page" ]; then ok "a page"; else not_ok "a page" "exit status $status: $(cat "$dir/err.txt")"; fi
for word in '"path":' '"seed": 9' '"steps": 3' '"tokens":' '"unknown":' '"bytes":'; do
    if grep -q -F "$word" "$dir/json.txt"; then ok "--json says $word"; else not_ok "--json says $word" "$(cat "$dir/json.txt")"; fi
done
if ls "$page".part-* >/dev/null 2>&1; then not_ok "no temporary is left" "$(ls "$dir")"; else ok "no temporary is left"; fi
size=$(wc -c <"$page")
if [ "$size" -lt 6000000 ]; then ok "under 6 MB"; else not_ok "under 6 MB" "$size bytes"; fi

# absent NAME PATTERN: no line of the page has it
absent()
{
    if grep -q -i -E -- "$2" "$page"; then
        not_ok "$1" "$(grep -o -i -E ".{0,60}$2.{0,60}" "$page" | head -n 3)"
    else
        ok "$1"
    fi
}
present()
{
    if grep -q -F -- "$2" "$page"; then ok "$1"; else not_ok "$1" "not on the page: $2"; fi
}
absent "no script, whatever the prompt says" '<script'
absent "nothing that runs" ' on[a-z]+ *=|javascript:'
absent "nothing from elsewhere" '(src|href)="(http|//|file|[^d#"])|url\(|@import|<link|<iframe'
present "the prompt is escaped" 'a red ball &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;it&#39;s&quot; \x'
present "the command can be pasted" "zouma explain &#39;a red ball &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;it&#39;\\&#39;&#39;s&quot; \\x&#39; -o"
present "words never learnt are marked" 'class="chip strange"'
for word in 'id="tokens"' 'id="noise"' 'id="steps"' 'id="attention"' 'id="guidance"' 'id="cost"' 'id="again"' 'lang="zh"' 'id="block7"'; do
    present "$word" "$word"
done
if command -v xmllint >/dev/null; then
    check "well-formed" xmllint --noout "$page"
else
    skip "well-formed" "no xmllint"
fi

# The clip inside is what generate writes, byte for byte.
same_clip() # NAME [OPTIONS]
{
    name=$1
    shift
    "$zouma" explain "a blue cube slides" -o "$page" --seed 4 --quiet "$@" >"$dir/out.txt" 2>&1 || cat "$dir/out.txt"
    "$zouma" generate "a blue cube slides" -o "$dir/clip.apng" --scale 1 --seed 4 --quiet "$@" >"$dir/made.txt" 2>&1
    sed -n 's/.*id="clip"[^>]*src="data:image\/apng;base64,\([^"]*\)".*/\1/p' "$page" | base64 -d >"$dir/inside.apng"
    if [ -s "$dir/out.txt" ]; then not_ok "$name: --quiet is quiet" "$(cat "$dir/out.txt")"; else ok "$name: --quiet is quiet"; fi
    if [ ! -s "$dir/clip.apng" ]; then
        skip "$name: the clip of generate" "this build writes no .apng"
    elif cmp -s "$dir/clip.apng" "$dir/inside.apng"; then
        ok "$name: the clip of generate"
    else
        not_ok "$name: the clip of generate" "$(cmp "$dir/clip.apng" "$dir/inside.apng" 2>&1)"
    fi
}
same_clip "as it comes" --steps 3
same_clip "without guidance, other sizes" --steps 2 --guidance 1 --size 64x32 --frames 5 --solver euler --shift 1 --threads 1
present "guidance off is said" "Guidance was 1"
"$zouma" generate "a blue cube" -o "$dir/first.png" --scale 1 --seed 5 --steps 2 --quiet 2>"$dir/err.txt" || cat "$dir/err.txt"
same_clip "from a picture, in bytes" --steps 2 --image "$dir/first.png" --precision int8
present "the command has the picture" "--image $dir/first.png"
present "and the precision" "--precision int8"
"$zouma" explain "a ball" -o "$page" --steps 1 --frames 1 --seed 8999999999999999 --pictures 1 --quiet 2>"$dir/err.txt" || cat "$dir/err.txt"
present "every digit of a seed" "--seed 8999999999999999"
finish
