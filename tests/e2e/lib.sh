# Shared by the end-to-end scripts, each run as: sh NAME.sh PATH/TO/zouma.  They print TAP.
# shellcheck shell=sh disable=SC2034
zouma=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/zouma-e2e.XXXXXX")
mounted=
cleanup()
{
    [ -z "$mounted" ] || umount "$mounted" 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
export OMP_WAIT_POLICY=passive # tiny work, perhaps on a busy machine
number=0
failed=0

ok()
{
    number=$((number + 1))
    echo "ok $number - $1"
}
not_ok() # NAME WHY
{
    number=$((number + 1))
    failed=1
    echo "not ok $number - $1"
    printf '%s\n' "$2" | sed 's/^/# /'
}
skip()
{
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}
finish()
{
    echo "1..$number"
    exit $failed
}

# check NAME COMMAND...: the command succeeds.
check()
{
    name=$1
    shift
    if "$@" >"$dir/out.txt" 2>"$dir/err.txt"; then
        ok "$name"
    else
        not_ok "$name" "exit status $? of: $*
$(tail -n 5 "$dir/out.txt" "$dir/err.txt")"
    fi
}

# refuses NAME STATUS PATTERN FILE COMMAND...: exit status STATUS, one sentence on stderr that matches PATTERN, nothing
# on stdout, and neither FILE nor a temporary beside it is left.
refuses()
{
    name=$1 want=$2 pattern=$3 file=$4
    shift 4
    "$@" >"$dir/out.txt" 2>"$dir/err.txt" </dev/null
    got=$?
    # A progress line ends in a carriage return and is overwritten; what remains to be read is what counts.
    sed 's/.*\r//; s/\x1b\[[0-9;?]*[A-Za-z]//g' "$dir/err.txt" | grep -v '^[[:space:]]*$' >"$dir/said.txt"
    why=
    [ "$got" = "$want" ] || why="exit status $got, not $want"
    [ "$(wc -l <"$dir/said.txt")" = 1 ] || why="$why; not one sentence on stderr"
    grep -q -E -- "$pattern" "$dir/said.txt" || why="$why; stderr does not match /$pattern/"
    [ ! -s "$dir/out.txt" ] || why="$why; something on stdout"
    if [ -n "$file" ]; then
        [ ! -e "$file" ] || why="$why; $file is there"
        ls "$file".part-* >/dev/null 2>&1 && why="$why; a temporary is left"
    fi
    if [ -z "$why" ]; then
        ok "$name"
    else
        not_ok "$name" "$why
$(head -n 5 "$dir/err.txt")"
    fi
}

# The bundled model, or the one ZOUMA_MODEL names.  Fails when there is none.
have_model()
{
    model=${ZOUMA_MODEL:-$root/models/toybox}
    [ -f "$model/config.json" ] && ls "$model"/dit.* >/dev/null 2>&1
}

# A model of a few thousand parameters, trained for two steps: DIR/config.json and weights.
tiny_sizes()
{
    cat >"$1" <<'J'
{
 "family": "wan22-ti2v", "name": "tiny",
 "video": {"width": 32, "height": 32, "frames": 9, "fps": 8},
 "sampling": {"steps": 4, "guidance": 2.0, "shift": 3.0, "solver": "unipc"},
 "vae": {"kind": "light", "z_dim": 4, "fold": 4, "channels": [8, 16], "encoder_blocks": [1, 0, 0, 1], "decoder_blocks": [1, 0, 0, 1]},
 "text_encoder": {"vocab": 640, "dim": 32, "dim_attn": 32, "dim_ffn": 64, "num_heads": 2, "num_layers": 1, "num_buckets": 8},
 "dit": {"model_type": "ti2v", "dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 1, "in_dim": 4, "out_dim": 4, "patch_size": [1, 2, 2],
         "freq_dim": 32, "text_dim": 32, "text_len": 40, "qk_norm": true, "cross_attn_norm": true, "eps": 1e-6}
}
J
}
tiny_config() # FILE STAGE MODEL-DIR [lines of data:]
{
    cat >"$1" <<Y
stage: $2
model: $dir/sizes.json
out: $3
data:
  clips: 12
  held_out: 2
${4:-}
train:
  steps: 3
  batch: 2
  warmup: 1
  cooldown: 1
  log_every: 1
  validate_every: 3
vae:
  frames: 9
dit:
  captions: 4
Y
}
tiny_model() # MODEL-DIR [lines of data:]
{
    tiny_sizes "$dir/sizes.json"
    tiny_config "$dir/vae.yaml" vae "$1" "${2:-}"
    tiny_config "$dir/dit.yaml" dit "$1" "${2:-}"
    "$zouma" train "$dir/vae.yaml" --quiet >"$dir/tiny.txt" 2>&1 && "$zouma" train "$dir/dit.yaml" --quiet >>"$dir/tiny.txt" 2>&1
}
