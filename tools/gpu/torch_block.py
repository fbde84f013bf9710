#!/usr/bin/env python3
"""Time one Wan DiT block in PyTorch, compiled, bf16, fused attention: what zouma bench dit-block is held against."""
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, dim, ffn, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.q2, self.kv2, self.out2 = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, ffn), nn.Linear(ffn, dim)
        self.norm_q, self.norm_k = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.norm_q2, self.norm_k2, self.norm3 = nn.RMSNorm(dim), nn.RMSNorm(dim), nn.LayerNorm(dim)
        self.modulation = nn.Parameter(torch.randn(6, dim) * 0.02)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, text, cos, sin):
        m = (1 + self.modulation).unbind(0)
        h = F.layer_norm(x.float(), x.shape[-1:]).to(x.dtype) * m[0] + m[1]
        q, k, v = self.qkv(h).chunk(3, -1)
        q, k = (self.turn(self.split(n(t)), cos, sin) for n, t in ((self.norm_q, q), (self.norm_k, k)))
        a = F.scaled_dot_product_attention(q, k, self.split(v))
        x = x + self.out(a.transpose(1, 2).flatten(2)) * m[2]
        k, v = self.kv2(text).chunk(2, -1)
        a = F.scaled_dot_product_attention(self.split(self.norm_q2(self.q2(self.norm3(x)))),
                                           self.split(self.norm_k2(k)), self.split(v))
        x = x + self.out2(a.transpose(1, 2).flatten(2))
        h = F.layer_norm(x.float(), x.shape[-1:]).to(x.dtype) * m[3] + m[4]
        return x + self.down(F.gelu(self.up(h), approximate="tanh")) * m[5]

    @staticmethod
    def turn(x, cos, sin):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


def main():
    tokens, text = 21 * 30 * 52, 512
    for name, dim, ffn, heads in (("1.3B", 1536, 8960, 12), ("14B", 5120, 13824, 40)):
        with torch.device("cuda"), torch.no_grad():
            block = torch.compile(Block(dim, ffn, heads).to(torch.bfloat16))
            x = torch.randn(1, tokens, dim, dtype=torch.bfloat16)
            t = torch.randn(1, text, dim, dtype=torch.bfloat16)
            angle = torch.rand(tokens, dim // heads // 2)
            cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
            each = []
            for _ in range(12):
                torch.cuda.synchronize()
                start = time.perf_counter()
                block(x, t, cos, sin)
                torch.cuda.synchronize()
                each.append(time.perf_counter() - start)
            ms = 1e3 * sorted(each[3:])[4]
            linear = 2 * tokens * dim * (6 * dim + 2 * ffn) + 2 * text * dim * 2 * dim
            flops = linear + 4 * tokens * (tokens + text) * dim
            print(f"PyTorch {torch.__version__}, one block of Wan {name}, {tokens} tokens: {ms:.2f} ms, "
                  f"{flops / ms * 1e-9:.0f} TFLOPS")


main()
