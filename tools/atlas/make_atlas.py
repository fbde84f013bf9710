#!/usr/bin/env python3
"""Rasterise the named things of the toy-box world into assets/world/things.rgba.

SPDX-License-Identifier: MIT

usage: make_atlas.py ICONS_JSON      (icons.json of the npm package @iconify-json/fluent-emoji; needs rsvg-convert, ffmpeg)

The list of things is the first string of each ZM_THING row in src/world/things.h, so table and atlas agree by
construction.  Each cell is 64x64 straight-alpha RGBA, the drawing fitted into the middle 62x62.
"""
import json
import pathlib
import re
import subprocess
import sys

CELL, INNER, PROBE = 64, 62, 256


def raster(body, box, size):
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
           f'viewBox="{box[0]} {box[1]} {box[2]} {box[3]}" width="{size}" height="{size}">{body}</svg>')
    png = subprocess.run(["rsvg-convert", "-w", str(size), "-h", str(size)], input=svg.encode(), check=True,
                         stdout=subprocess.PIPE).stdout
    raw = subprocess.run(["ffmpeg", "-v", "error", "-f", "png_pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgba",
                          "-"], input=png, check=True, stdout=subprocess.PIPE).stdout
    assert len(raw) == size * size * 4
    return raw


def cell(icon, default):
    w, h = icon.get("width", default), icon.get("height", default)
    raw = raster(icon["body"], (0, 0, w, h), PROBE)
    solid = [i // 4 for i in range(3, len(raw), 4) if raw[i] > 24]
    xs, ys = [i % PROBE for i in solid], [i // PROBE for i in solid]
    x0, x1, y0, y1 = min(xs), max(xs) + 1, min(ys), max(ys) + 1
    side = max(x1 - x0, y1 - y0) * CELL / INNER
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    k = w / PROBE
    return raster(icon["body"], ((cx - side / 2) * k, (cy - side / 2) * k, side * k, side * k), CELL)


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    names = re.findall(r'^\s*X\("([a-z0-9-]+)"', (root / "src/world/things.h").read_text(), re.M)
    pack = json.loads(pathlib.Path(sys.argv[1]).read_text())
    data = b"".join(cell(pack["icons"][n], pack.get("height", 32)) for n in names)
    (root / "assets/world/things.rgba").write_bytes(data)
    print(f"{len(names)} things, {len(data)} bytes")


if __name__ == "__main__":
    main()
