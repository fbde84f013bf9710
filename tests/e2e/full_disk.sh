#!/bin/sh
# A disk that fills up, and one that may not be written: a sentence, exit status 1, nothing under the final name.  TAP.
. "$(dirname "$0")/lib.sh"
tiny=$dir/tiny
check "a tiny model can be trained" tiny_model "$tiny"
clip_options="--scale 20 --seed 1"

# limited BLOCKS COMMAND...: files grow to BLOCKS * 512 bytes at most; the signal that would kill is ignored.
limited()
{
    (
        trap '' XFSZ
        ulimit -f "$1" || exit 99
        shift
        "$@"
    )
}
for name in clip.mp4 clip.webm clip.gif clip.apng clip.png; do
    # shellcheck disable=SC2086
    refuses "files may hold 2 KiB: $name" 1 "$name" "$dir/$name" limited 4 "$zouma" generate -m "$tiny" -o "$dir/$name" \
        "a red ball bounces" $clip_options --quiet
done
for blocks in 4 100; do # the clip that goes into the page, and the page
    refuses "files may hold $blocks blocks: page.html" 1 "page.html" "$dir/page.html" limited $blocks "$zouma" explain -m "$tiny" \
        -o "$dir/page.html" "a red ball bounces" --quiet
done
refuses "files may hold 2 KiB: world" 1 "File too large|write failed|cannot" "$dir/w/000001.mp4" limited 4 "$zouma" world "$dir/w" \
    --clips 1 --size 320x192 --quiet
tiny_config "$dir/again.yaml" vae "$dir/again"
refuses "files may hold 2 KiB: training" 1 "checkpoint|write|large" "$dir/again/vae.gguf" limited 4 "$zouma" train "$dir/again.yaml" --quiet

full=$dir/full
mkdir "$full"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=16k tmpfs "$full" 2>/dev/null; then
    mounted=$full
    # shellcheck disable=SC2086
    refuses "a disk of 16 KiB" 1 "No space left" "$full/clip.mp4" "$zouma" generate -m "$tiny" -o "$full/clip.mp4" "a red ball bounces" \
        $clip_options --quiet
    umount "$full" && mounted=
else
    skip "a disk of 16 KiB" "no file system can be mounted here"
fi

if [ "$(id -u)" != 0 ]; then
    mkdir "$dir/locked"
    chmod 555 "$dir/locked"
    refuses "a folder that may not be written" 1 "ermission denied" "$dir/locked/clip.mp4" "$zouma" generate -m "$tiny" \
        -o "$dir/locked/clip.mp4" "a ball" --quiet
else
    refuses "a folder that cannot be written" 1 "/proc/clip.mp4" "/proc/clip.mp4" "$zouma" generate -m "$tiny" -o /proc/clip.mp4 "a ball" --quiet
fi

# What was there before stays when the new one fails.
echo "the old film" >"$dir/old.mp4"
limited 4 "$zouma" generate -m "$tiny" -o "$dir/old.mp4" "a red ball bounces" --scale 20 --quiet >/dev/null 2>&1
if [ "$(cat "$dir/old.mp4")" = "the old film" ]; then
    ok "an older file is kept when the new one cannot be written"
else
    not_ok "an older file is kept when the new one cannot be written" "it was changed"
fi
finish
