#!/bin/sh
# One file of kernels as machine code of every card, in an object file that C can link:
#   tools/gpu/kernel.sh NVCC "CC" ARCHS SRC.cu OUT.o [OUT.d]
# ARCHS: compute capabilities separated by commas; the first one also as PTX, for cards that are newer than all.
# The object has the symbol zm_cuda_fatbin_NAME for NAME.cu.
set -eu
nvcc=$1 cc=$2 archs=$3 src=$4 out=$5 dep=${6:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
name=$(basename "$src" .cu)
set --
for arch in $(echo "$archs" | tr ',' ' '); do
    set -- "$@" -gencode "arch=compute_$arch,code=sm_$arch"
done
first=${archs%%,*}
set -- "$@" -gencode "arch=compute_$first,code=compute_$first"
# A frame is drawn like the CPU's: the same bytes, which contraction would change here and there.
[ "$name" != draw ] || set -- "$@" --fmad=false
[ -z "$dep" ] || set -- "$@" -MD -MF "$dep" -MT "$out"
"$nvcc" -fatbin -std=c++17 -O3 --threads 2 -Werror all-warnings -I "$root/src" "$@" -o "$out.fatbin" "$src"
# shellcheck disable=SC2086
$cc -x assembler -c -o "$out" - <<END
    .section .rodata
    .balign 64
    .globl zm_cuda_fatbin_$name
zm_cuda_fatbin_$name:
    .incbin "$out.fatbin"
    .section .note.GNU-stack,"",%progbits
END
