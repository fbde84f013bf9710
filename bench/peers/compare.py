#!/usr/bin/env python3
"""zouma beside PyTorch on the same work, pair by pair: A B A B ..., and the ratio of their medians.

SPDX-License-Identifier: MIT

usage: compare.py [NAME...] [--sizes FILE] [--pairs N] [--zouma PATH] [--json]
Each figure comes from a process of its own; a pair is one run of each, so that both meet the same machine.
PyTorch: Debian's python3-torch, or whatever `import torch` finds for the interpreter given with --python.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = ["gemm", "attention", "dit-block", "vae-decode"]


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"compare.py: {' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout)


def ours(a, name):
    report = output_of([a.zouma, "bench", name, "--json", "--sizes", a.sizes, "--seconds", str(a.seconds)])
    rows = [r for r in report["rows"] if r["name"] == name and r["dtype"] == "f32"]
    row = rows[-1] if name == "gemm" else rows[0]
    return {"ms": row["ms"], "gflops": row["gflops"], "rss_mb": row["rss_mb"], "peak": report["peak_gflops"],
            "shape": row["shape"]}


def theirs(a, name):
    return output_of([a.python, os.path.join(HERE, "torch_rows.py"), name, "--sizes", a.sizes, "--seconds",
                      str(a.seconds)])


def median(values):
    v = sorted(values)
    return 0.5 * (v[(len(v) - 1) // 2] + v[len(v) // 2])


def compare(a, name):
    pairs = []
    for i in range(a.pairs):
        pairs.append((ours(a, name), theirs(a, name)))
        if not a.json:
            us, them = pairs[-1]
            print(f"  pair {i + 1}: {us['ms']:.1f} ms, {them['ms']:.1f} ms, {them['ms'] / us['ms']:.2f}x", flush=True)
    us, them = [p[0] for p in pairs], [p[1] for p in pairs]
    rate = median([u["gflops"] / u["peak"] for u in us])
    return {"name": name, "shape": us[0]["shape"], "engine": them[0]["engine"], "pairs": a.pairs,
            "ms": median([u["ms"] for u in us]), "peer_ms": median([t["ms"] for t in them]),
            "ratio": median([t["ms"] / u["ms"] for u, t in pairs]), "peak_share": rate,
            "peer_peak_share": median([t["gflops"] / u["peak"] for u, t in pairs]),
            "rss_mb": median([u["rss_mb"] for u in us]), "peer_rss_mb": median([t["rss_mb"] for t in them])}


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("names", nargs="*", metavar="NAME", help="of: " + " ".join(ROWS))
    p.add_argument("--sizes", default=os.path.join(root, "bench/sizes/wan2.1-1.3b-1280.json"))
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2, help="of measuring in each run [2]")
    p.add_argument("--zouma", default=os.path.join(root, "build/zouma"))
    p.add_argument("--python", default="/usr/bin/python3", help="interpreter that has torch [/usr/bin/python3]")
    p.add_argument("--json", action="store_true")
    a = p.parse_args()
    for name in a.names:
        if name not in ROWS:
            p.error(f'there is no row "{name}"; there are: {" ".join(ROWS)}')
    result = []
    for name in a.names or ROWS:
        if not a.json:
            print(name, flush=True)
        r = compare(a, name)
        result.append(r)
        if not a.json:
            print(f"  {r['shape']}: {r['ms']:.1f} ms ({100 * r['peak_share']:.0f} % of peak, {r['rss_mb']:.0f} MB); "
                  f"{r['engine']}: {r['peer_ms']:.1f} ms ({100 * r['peer_peak_share']:.0f} %, "
                  f"{r['peer_rss_mb']:.0f} MB): {r['ratio']:.2f}x", flush=True)
    if a.json:
        json.dump(result, sys.stdout, indent=1)
        print()


main()
