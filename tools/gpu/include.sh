#!/bin/sh
# The folder that holds CUDA's headers:  tools/gpu/include.sh NVCC
# An nvcc in the path may be a wrapper far from its toolkit, so the compiler itself is asked where it lives.
# Exit status 1, and a sentence, when cuda.h and cublasLt.h are nowhere near it.
set -eu
nvcc=${1:?usage: tools/gpu/include.sh NVCC}
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
: >"$empty/empty.cu"
top=$("$nvcc" -dryrun -c -o "$empty/empty.o" "$empty/empty.cu" 2>&1 | sed -n 's/^#\$ TOP=//p' | head -n 1)
for dir in "${CUDA_HOME:-}" "$top" "$(dirname "$nvcc")/.." /usr/local/cuda /usr; do
    if [ -n "$dir" ] && [ -f "$dir/include/cuda.h" ] && [ -f "$dir/include/cublasLt.h" ]; then
        (cd "$dir/include" && pwd -P)
        exit 0
    fi
done
echo "$nvcc is there, but cuda.h and cublasLt.h are not: CUDA_HOME can name the toolkit's folder." >&2
exit 1
