#!/usr/bin/env python3
"""Make tests/golden from the full reference fixtures: fewer cases, fewer intermediates, the same bytes.

SPDX-License-Identifier: MIT

usage: tools/golden.py FIXTURES tests/golden
What is kept of each directory is the table below; everything is copied unchanged.
"""
import json
import os
import re
import shutil
import struct
import sys

# directory: (files copied whole, patterns of io.safetensors' tensors that are kept, lists of config.json that are cut:
# key -> what stays of it)
KEEP = {
    "schedulers": (["README.txt"], [r"x_init", r".*\.shift(3|5)\.steps4\..*"],
                   {"combos": lambda c: c["steps"] == 4 and c["shift"] in (3.0, 5.0)}),
    "tokenizer": (["README.txt", "golden.json", "cleaning.json", "unigram_umt5like.model"], [], {}),
    "umt5-encoder-tiny": (["README.txt", "weights.safetensors"],
                          [r"bucket\..*", r"case0\.(ids|mask|out|context.*)", r"case0\.mid\.block\d+"],
                          {"cases": lambda c: c["case"] == 0}),
    "wan22-ti2v-5b-tiny": (["README.txt", "weights.safetensors"],
                           [r"case0\.(x|t|context|out)", r"case0\.mid\.(time_e|head)"],
                           {"cases": lambda c: c["case"] == 0}),
    "wan22-vae-tiny": (["README.txt", "weights.safetensors"], [r"case3\.(video|latent|mu_raw|z|decoded|decoded_raw)"],
                       {}),
    "wan22-pipeline-ti2v-tiny": (["README.txt"], [r"i2v\.(?!video$).*"], {"runs": lambda r: r["name"] == "i2v"}),
}


def filter_safetensors(source, target, patterns):
    """Copy the tensors whose whole name matches one of the patterns; returns the bytes written."""
    with open(source, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        start = 8 + size
        out, data, at = {}, [], 0
        for name, row in header.items():
            if name == "__metadata__":
                out[name] = row
            elif any(re.fullmatch(p, name) for p in patterns):
                begin, end = row["data_offsets"]
                f.seek(start + begin)
                data.append(f.read(end - begin))
                out[name] = dict(row, data_offsets=[at, at + end - begin])
                at += end - begin
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    total = 0
    for name, (whole, patterns, cuts) in KEEP.items():
        to = os.path.join(target, name)
        os.makedirs(to, exist_ok=True)
        for file in whole:
            shutil.copyfile(os.path.join(source, name, file), os.path.join(to, file))
        with open(os.path.join(source, name, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        for key, stays in cuts.items():
            config[key] = [row for row in config[key] if stays(row)]
        with open(os.path.join(to, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f, indent=1)
        if patterns:
            filter_safetensors(os.path.join(source, name, "io.safetensors"), os.path.join(to, "io.safetensors"), patterns)
        total += sum(os.path.getsize(os.path.join(to, f)) for f in os.listdir(to))
    print(f"{target}: {total} bytes")


main()
