#!/bin/sh
# Build without meson, ninja or packages: a C compiler, nvcc and what tools/gpu/carry.sh brought are enough.
#   tools/gpu/build.sh DIR        makes DIR/zouma, DIR/test_ops and DIR/test_card
# Left out: FFmpeg (clips are written as .png frames), oneDNN.  Chipmunk (the toy-box world) is needed as carried or
# installed.  CC, NVCC, ARCHS (compute capabilities, default: the card's own) and JOBS may be set.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)
out=${1:?usage: tools/gpu/build.sh DIR}
cc=${CC:-cc}
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
jobs=${JOBS:-$(nproc)}
carry=$root/carry
mkdir -p "$out/obj" "$out/gen/world"
out=$(cd "$out" && pwd)
[ -x "$nvcc" ] || {
    echo "There is no nvcc here: set NVCC to CUDA's compiler." >&2
    exit 1
}
headers=$(tools/gpu/include.sh "$nvcc")
if [ -z "${ARCHS:-}" ]; then
    ARCHS=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ' || true)
    ARCHS=${ARCHS:-80,90}
fi
printf '#define ZM_ATLAS_PATH "%s"\n' "$root/assets/world/things.rgba" >"$out/gen/world/atlas_path.h"

version=$(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build | head -n 1)
common="-std=c17 -O3 -g -fopenmp -ffp-contract=off -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DZM_VERSION=\"$version\"
 -Isrc -I$out/gen -I$out/gen/world -I$carry/include -isystem $headers"
common=$(echo $common)
fast="-fopenmp-simd -fno-math-errno -fno-trapping-math"
contract=-ffp-contract=fast
avx2="-mavx2 -mfma"
avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
case $(uname -m) in
x86_64) levels="base avx2 avx512" ;;
*) levels="base" ;;
esac

# A file of one instruction set's loops.
for_level()
{
    [ "$levels" = base ] || echo "$(echo "$1" | tr '/' '_') $1 $2"
}

# One line for each object: its name, its source, its flags.
plan()
{
    for f in src/*/*.c src/backend/*/*.c tests/ops/test_ops.c tests/backend/test_card.c; do
        case $f in
        src/media/*_ffmpeg.c | src/media/ffmpeg.c | src/backend/cpu/dnnl_*.c | src/backend/cuda/driver_none.c | src/world/physics_none.c) ;;
        src/backend/cpu/simd_*.c)
            for l in $levels; do
                eval "more=\${$l:-}"
                echo "$(echo "$f" | tr '/' '_').$l $f $fast -ffp-contract=fast $more -DZM_SIMD=$l"
            done
            ;;
        src/base/quant_fit.c)
            for l in $levels; do
                eval "more=\${$l:-}"
                more=$(echo "$more" | sed 's/-mfma//')
                echo "$(echo "$f" | tr '/' '_').$l $f $fast $more -DZM_FIT=$l"
            done
            ;;
        src/backend/cpu/gemm_*_amx.c) ;; # a compiler may be too old for it
        src/backend/cpu/gemm_plain.c | src/backend/cpu/gemm_bf16_plain.c) echo "$(echo "$f" | tr '/' '_') $f $contract" ;;
        src/backend/cpu/gemm_*avx2.c) for_level "$f" "$contract $avx2" ;;
        src/backend/cpu/gemm_*avx512.c) for_level "$f" "$contract $avx512" ;;
        src/backend/cpu/gemm_bf16_dot.c) for_level "$f" "$contract $avx512 -mavx512bf16" ;;
        src/backend/cpu/int8_avx2.c) for_level "$f" "$avx2" ;;
        src/backend/cpu/int8_avx512.c) for_level "$f" "$avx512" ;;
        src/backend/cpu/int8_vnni.c) for_level "$f" "$avx512 -mavx512vnni" ;;
        tests/*) echo "$(echo "$f" | tr '/' '_') $f -Itests" ;;
        *) echo "$(echo "$f" | tr '/' '_') $f" ;;
        esac
    done
}

base=
plan >"$out/plan"
export cc common out
echo "compiling $(wc -l <"$out/plan") files of C and $(ls src/backend/cuda/*.cu | wc -l) of CUDA for sm_$ARCHS" >&2
xargs -P "$jobs" -L 1 sh -c 'o=$out/obj/$0.o s=$1; shift; [ "$o" -nt "$s" ] || $cc $common "$@" -c -o "$o" "$s"' <"$out/plan"
ls src/backend/cuda/*.cu | xargs -P "$jobs" -I{} sh -c 'name=$(basename {} .cu)
    o=$1/obj/cuda_$name.o; [ "$o" -nt {} ] || tools/gpu/kernel.sh "$2" "$3" "$4" {} "$o"' sh "$out" "$nvcc" "$cc" "$ARCHS"

libs=
for l in chipmunk jansson yaml utf8proc; do
    if [ -f "$carry/lib/lib$l.a" ]; then libs="$libs $carry/lib/lib$l.a"; else libs="$libs -l$l"; fi
done
app=$(ls "$out"/obj/src_app_*.o)
library=$(ls "$out"/obj/src_*.o "$out"/obj/cuda_*.o | grep -v '/src_app_')
# shellcheck disable=SC2086
$cc -fopenmp -o "$out/zouma" $app $library $libs -lm -ldl -lpthread
for t in ops/test_ops backend/test_card; do
    # shellcheck disable=SC2086
    $cc -fopenmp -o "$out/${t#*/}" "$out/obj/tests_$(echo $t | tr '/' '_').c.o" $library $libs -lm -ldl -lpthread
done
echo "$out/zouma is made" >&2
