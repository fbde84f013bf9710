#!/usr/bin/env python3
"""Time PyTorch on the work of one row of `zouma bench` and print it as JSON.

SPDX-License-Identifier: MIT

usage: torch_rows.py NAME --sizes FILE [--seconds S] [--threads N]
NAME: gemm, attention, dit-block, vae-decode.  FILE: as for zouma bench --sizes (Wan 2.1's 1.3B: bench/sizes).
The networks are written here from the published description with random weights; what matters is that the shapes and
the number of operations are those of the row, which the script counts and prints ("gflop").  float32, no gradients.
Where PyTorch offers two ways (attention), the faster one is timed.
"""
import argparse
import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F

flop = 0.0


def linear(x, out, w={}):
    """x W^T + b with random W kept per (use, shape)."""
    global flop
    key = (linear.use, x.shape[-1], out)
    linear.use += 1
    if key not in w:
        w[key] = (torch.randn(out, x.shape[-1]) / x.shape[-1] ** 0.5, torch.zeros(out))
    flop += 2.0 * x.numel() * out
    return F.linear(x, *w[key])


linear.use = 0


def by_products(q, k, v):
    return torch.softmax((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5, -1) @ v


def by_library(q, k, v):
    f = getattr(F, "scaled_dot_product_attention", None)
    return f(q, k, v) if f else F._scaled_dot_product_attention(q, k, v)[0]


def attention(q, k, v):
    """[B,H,N,d]"""
    global flop
    flop += 4.0 * q.numel() * k.shape[-2]
    return attention.way(q, k, v)


attention.way = by_products


LONG_S = 5


def median_ms(run, seconds):
    """After one run to warm up, unless that took so long that nothing it warms counts."""
    at = time.perf_counter()
    run()
    if time.perf_counter() - at > LONG_S:
        return 1e3 * (time.perf_counter() - at)
    times, start = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - start < seconds and len(times) < 50):
        at = time.perf_counter()
        run()
        times.append(time.perf_counter() - at)
    times.sort()
    return 1e3 * 0.5 * (times[(len(times) - 1) // 2] + times[len(times) // 2])


def gemm_run(sizes, _):
    d = sizes["dit"]
    x, w = torch.randn(480, d["dim"]), torch.randn(d["ffn_dim"], d["dim"])

    def run():
        global flop
        flop = 2.0 * 480 * d["dim"] * d["ffn_dim"]
        return F.linear(x, w)

    return run, f"[480,{d['dim']}] x [{d['ffn_dim']},{d['dim']}]^T"


def choose_attention(n, heads, head_dim):
    """The faster of the two ways at this size."""
    q = torch.randn(1, heads, n, head_dim)
    best = None
    for way in (by_products, by_library):
        ms = median_ms(lambda: way(q, q, q), 0.5)
        if best is None or ms < best[0]:
            best = (ms, way)
    attention.way = best[1]


def attention_run(sizes, tokens):
    d = sizes["dit"]
    heads, head_dim = d["num_heads"], d["dim"] // d["num_heads"]
    choose_attention(tokens, heads, head_dim)
    q, k, v = (torch.randn(1, heads, tokens, head_dim) for _ in range(3))

    def run():
        global flop
        flop = 0.0
        return attention(q, k, v)

    return run, f"[1,{tokens},{heads},{head_dim}], {attention.way.__name__}"


def rotate(x, cos, sin):
    """Pairs (2i, 2i+1) turned by an angle of position and i; x [B,N,H,d]."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def rms(x, g):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * g


def block_run(sizes, tokens):
    d = sizes["dit"]
    dim, heads = d["dim"], d["num_heads"]
    choose_attention(tokens, heads, dim // heads)
    angle = torch.rand(tokens, 1, dim // heads // 2)
    cos, sin, g = angle.cos(), angle.sin(), torch.ones(dim)
    x = torch.randn(1, tokens, dim)
    time_in, text_in = torch.randn(1, d["freq_dim"]), torch.randn(1, d["text_len"], d["text_dim"])

    def split(t):
        return t.view(1, -1, heads, dim // heads).transpose(1, 2)

    def joined(t):
        return t.transpose(1, 2).reshape(1, -1, dim)

    def norm(t):
        return F.layer_norm(t, (dim,), eps=1e-6)

    def run():
        global flop
        flop, linear.use = 0.0, 0
        e0 = linear(F.silu(linear(F.silu(linear(time_in, dim)), dim)), 6 * dim).view(6, dim)
        text = linear(F.gelu(linear(text_in, dim)), dim)
        y = norm(x) * (1 + e0[1]) + e0[0]
        q = rotate(rms(linear(y, dim), g).view(1, -1, heads, dim // heads), cos, sin).transpose(1, 2)
        k = rotate(rms(linear(y, dim), g).view(1, -1, heads, dim // heads), cos, sin).transpose(1, 2)
        h = x + linear(joined(attention(q, k, split(linear(y, dim)))), dim) * e0[2]
        y = norm(h)
        q, k = split(rms(linear(y, dim), g)), split(rms(linear(text, dim), g))
        h = h + linear(joined(attention(q, k, split(linear(text, dim)))), dim)
        y = norm(h) * (1 + e0[4]) + e0[3]
        return h + linear(F.gelu(linear(y, d["ffn_dim"])), dim) * e0[5]

    return run, f"{tokens} tokens, width {dim}, one block and embeddings, {attention.way.__name__}"


class Decoder:
    """The Wan 2.1 decoder, a latent frame at a time; every causal convolution keeps its last two input frames."""

    def __init__(self, v):
        self.v, self.weight, self.kept, self.at = v, {}, {}, 0

    def conv(self, x, out, kt=3, ks=3):
        global flop
        self.at += 1
        c = x.shape[1]
        if self.at not in self.weight:
            self.weight[self.at] = (torch.randn(out, c, kt, ks, ks) / (c * kt * ks * ks) ** 0.5, torch.zeros(out))
        w, b = self.weight[self.at]
        if kt > 1:
            old = self.kept.get(self.at, x.new_zeros(x.shape[0], c, kt - 1, *x.shape[3:]))
            x = torch.cat((old, x), 2)
            self.kept[self.at] = x[:, :, -(kt - 1):].clone()
        y = F.conv3d(x, w, b, padding=(0, ks // 2, ks // 2))
        flop += 2.0 * y.numel() * c * kt * ks * ks
        return y

    @staticmethod
    def norm(x):
        return F.normalize(x, dim=1) * x.shape[1] ** 0.5

    def residual(self, x, out):
        short = x if x.shape[1] == out else self.conv(x, out, 1, 1)
        y = self.conv(F.silu(self.norm(x)), out)
        return short + self.conv(F.silu(self.norm(y)), out)

    def middle_attention(self, x):
        b, c, t, h, w = x.shape
        q, k, v = self.conv(self.norm(x), 3 * c, 1, 1).chunk(3, 1)
        q, k, v = (u.permute(0, 2, 3, 4, 1).reshape(b * t, 1, h * w, c) for u in (q, k, v))
        y = attention(q, k, v).view(b, t, h, w, c).permute(0, 4, 1, 2, 3)
        return x + self.conv(y, c, 1, 1)

    def twice_as_long(self, x, first):
        if first:
            self.at += 1
            return x
        b, c, t, h, w = x.shape
        y = self.conv(x, 2 * c, 3, 1).view(b, 2, c, t, h, w)
        return y.permute(0, 2, 3, 1, 4, 5).reshape(b, c, 2 * t, h, w)

    def twice_as_wide(self, x, out):
        b, c, t, h, w = x.shape
        x = x.transpose(1, 2).reshape(b * t, c, h, w)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest-exact")
        return self.conv(x.view(b, t, c, 2 * h, 2 * w).transpose(1, 2), out, 1, 3)

    def frame(self, z, first):
        self.at = 0
        v = self.v
        wide = [v["dim"] * m for m in [v["dim_mult"][-1]] + v["dim_mult"][::-1]]
        x = self.conv(self.conv(z, v["z_dim"], 1, 1), wide[0])
        x = self.residual(self.middle_attention(self.residual(x, wide[0])), wide[0])
        for i in range(len(wide) - 1):
            for _ in range(v["num_res_blocks"] + 1):
                x = self.residual(x, wide[i + 1])
            if i < len(wide) - 2:
                if v["temperal_downsample"][::-1][i]:
                    x = self.twice_as_long(x, first)
                x = self.twice_as_wide(x, wide[i + 1] // 2)
        return self.conv(F.silu(self.norm(x)), 3)


def decode_run(sizes, _):
    v = sizes["vae"]
    video = sizes["video"]
    h, w, t = video["height"] // 8, video["width"] // 8, (video["frames"] - 1) // 4 + 1
    decoder, z = Decoder(v), torch.randn(1, v["z_dim"], t, h, w)

    def run():
        global flop
        flop = 0.0
        decoder.kept = {}
        out = [decoder.frame(z[:, :, i:i + 1], i == 0) for i in range(t)]
        video = torch.cat(out, 2)
        assert video.shape[2] == 1 + 4 * (t - 1)
        return video

    return run, f"[1,{t},{h},{w},{v['z_dim']}] to a whole clip"


ROWS = {"gemm": gemm_run, "attention": attention_run, "dit-block": block_run, "vae-decode": decode_run}


def check_blas():
    """Debian's torch takes whatever libblas is installed; beside the plain reference one it is fifty times slower."""
    with open("/proc/self/maps") as f:
        maps = f.read()
    if "/blas/libblas" in maps:
        sys.exit("torch_rows.py: PyTorch stands on the reference BLAS, which is no peer: apt install libopenblas0-pthread")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("name", choices=ROWS)
    p.add_argument("--sizes", required=True)
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = p.parse_args()
    check_blas()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    with open(a.sizes) as f:
        sizes = json.load(f)
    video, patch = sizes["video"], sizes["dit"]["patch_size"]
    tokens = ((video["frames"] - 1) // 4 + 1) // patch[0] * (video["height"] // 8 // patch[1]) * (video["width"] // 8 // patch[2])
    with torch.no_grad():
        run, shape = ROWS[a.name](sizes, tokens)
        ms = median_ms(run, a.seconds)
    print(json.dumps({"name": a.name, "engine": f"torch {torch.__version__}", "dtype": "f32", "shape": shape, "ms": ms,
                      "gflop": 1e-9 * flop, "gflops": 1e-6 * flop / ms,
                      "rss_mb": 1e-3 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


main()
