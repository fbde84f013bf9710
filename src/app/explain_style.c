/* The look of zouma explain's page: quiet, light and dark, readable on paper.
 * SPDX-License-Identifier: MIT */
#include "app/explain_style.h"

#include <stddef.h>

const char *const zm_explain_style[] = {
    /* colours */
    ":root{--bg:#fcfbf8;--fg:#23221f;--soft:#6d6a62;--line:#dedacf;--card:#f4f1e9;--accent:#a8431c;--c1:#a8431c;--c2:#2f6f8f;--c3:#6b7d2a;"
    "--warn:#a32626}"
    "@media (prefers-color-scheme:dark){:root{--bg:#191815;--fg:#e6e2d8;--soft:#a19c8f;--line:#3a372f;--card:#23211c;--accent:#e58a5f;"
    "--c1:#e58a5f;--c2:#74b6d6;--c3:#b3c765;--warn:#f08a8a}}",
    /* text */
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--fg);font:17px/1.6 system-ui,-apple-system,'Segoe UI','Noto Sans','PingFang SC',"
    "'Noto Sans CJK SC','Microsoft YaHei',sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:1rem 1.5rem 4rem}"
    "h1{font-size:2rem;line-height:1.25;margin:.2rem 0 1.2rem;font-weight:650;overflow-wrap:anywhere;white-space:pre-wrap}"
    "h2{font-size:1.4rem;margin:3.2rem 0 .6rem;padding-top:.9rem;border-top:1px solid var(--line);font-weight:650}"
    "h2 b{color:var(--accent);margin-right:.35em}h3{font-size:1.05rem;margin:1.6rem 0 .4rem}"
    "p{margin:.5rem 0;overflow-wrap:break-word}small{color:var(--soft)}a{color:inherit;text-decoration-color:var(--accent)}"
    "code,pre{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:.86em}"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.8rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}"
    "span[lang=en]+span[lang=zh]::before{content:' \\B7  ';color:var(--soft)}"
    ".kicker{color:var(--soft);margin:.6rem 0 0}.two{display:grid;grid-template-columns:1fr 1fr;gap:0 2.6rem}"
    ".warning{color:var(--warn)}",
    /* languages */
    "input[type=radio]{position:absolute;opacity:0;pointer-events:none}"
    ".languages{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line);padding:.5rem 1.5rem;text-align:right;"
    "font-size:.85rem}"
    "label{cursor:pointer;padding:.15rem .6rem;border:1px solid var(--line);border-radius:99px;white-space:nowrap}"
    "#two:checked~nav [for=two],#english:checked~nav [for=english],#chinese:checked~nav [for=chinese]{background:var(--fg);color:var(--bg)}"
    "input:focus-visible~nav label,.choice input:focus-visible~.tabs label{outline:2px solid var(--accent);outline-offset:1px}"
    "#english:checked~main [lang=zh],#chinese:checked~main [lang=en]{display:none}"
    "#english:checked~main .two,#chinese:checked~main .two{grid-template-columns:minmax(0,46rem)}"
    "#chinese:checked~main span[lang=zh]::before{content:none}",
    /* head */
    ".top{display:grid;grid-template-columns:minmax(0,480px) 1fr;gap:2rem;align-items:start}"
    ".clip img,.clip video{width:100%;height:auto;border-radius:6px;display:block}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:0 0 1rem;font-size:.92rem}dt{color:var(--soft)}dd{margin:0;"
    "overflow-wrap:anywhere}.top .two{grid-template-columns:1fr;font-size:.92rem;color:var(--soft)}"
    ".way{display:flex;flex-wrap:wrap;gap:.5rem 1.9rem;list-style:none;padding:0;margin:1.8rem 0 0;font-size:.88rem}"
    ".way li{position:relative;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.35rem .7rem}"
    ".way li:not(:last-child)::after{content:'\\2192';position:absolute;right:-1.5rem;color:var(--accent)}.way .loop{border-color:var(--accent)}",
    /* tokens */
    ".chips{display:flex;flex-wrap:wrap;gap:.4rem}"
    ".chip{display:inline-flex;flex-direction:column;align-items:center;background:var(--card);border:1px solid var(--line);border-radius:6px;"
    "padding:.2rem .6rem;line-height:1.35;min-width:2.4rem}.chip small{font-size:.72rem}"
    ".chip.strange{border:1px dashed var(--warn)}.word.strange{color:var(--warn)}",
    /* plots */
    ".plot{margin:1rem 0;max-width:680px}.plot svg{width:100%;height:auto;display:block;overflow:visible}"
    ".plots{display:grid;grid-template-columns:1fr 1fr;gap:2rem}"
    ".plot text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--line);stroke-width:1}"
    ".line{fill:none;stroke-width:2}.line.dash{stroke-dasharray:5 4;stroke-width:1.4}"
    ".c1{stroke:var(--c1);fill:var(--c1)}.c2{stroke:var(--c2);fill:var(--c2)}.c3{stroke:var(--c3);fill:var(--c3)}polyline.line{fill:none}"
    "figcaption{font-size:.85rem;color:var(--soft)}.key{margin-right:1.2rem}"
    ".swatch{display:inline-block;width:1.4em;height:0;border-top:3px solid;vertical-align:middle;margin-right:.4em}"
    ".swatch.c1{border-color:var(--c1)}.swatch.c2{border-color:var(--c2)}.swatch.c3{border-color:var(--c3)}.swatch.dash{border-top-style:dashed}"
    ".levels{font-size:.82rem;color:var(--soft);font-variant-numeric:tabular-nums}",
    /* tables */
    "table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}"
    "th{font-weight:500;text-align:left;color:var(--soft);vertical-align:bottom;padding:.25rem .5rem}td{padding:.25rem .5rem;vertical-align:top}"
    "thead th{border-bottom:1px solid var(--line)}tbody th{vertical-align:top;color:var(--fg)}"
    ".strip{table-layout:fixed;max-width:52rem}.strip thead th:first-child{width:5.4rem}"
    ".strip td,.strip tbody th,.maps td{padding:.18rem}.strip tbody th{width:5.2rem;line-height:1.4;font-size:.82rem;color:var(--soft)}"
    ".strip b{color:var(--fg);font-size:1rem}"
    ".strip img,.maps img{width:100%;height:auto;display:block;border-radius:3px}.pixels{image-rendering:pixelated}"
    ".bar{display:block;height:5px;background:var(--line);border-radius:3px;margin:.25rem 0;overflow:hidden;min-width:3rem}"
    ".bar i{display:block;height:100%;background:var(--accent);border-radius:3px}"
    ".cost .sum td,.cost .sum th{border-top:1px solid var(--line);font-weight:600}.cost.inner{max-width:44rem}",
    /* attention */
    ".panel{display:none}.defs{position:absolute}"
    ".heat{width:100%;height:auto;display:block;border-radius:3px}"
    ".maps thead th{padding:.2rem;font-size:.76rem}.maps tbody th{width:9.5rem;padding-right:1rem;font-size:.86rem;overflow-wrap:anywhere}"
    ".maps small{font-size:.74rem;white-space:nowrap}.tabs{line-height:2.2;font-size:.85rem}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.8rem}.tiles figure{margin:0}"
    ".tables{overflow-x:auto}.shades{width:auto;margin:0 0 1.4rem}.shades th{font-size:.76rem}"
    ".shades td{text-align:right;min-width:2.9rem;font-size:.72rem;padding:.1rem .35rem}.shades tbody th{padding:.05rem .5rem;font-size:.76rem}"
    ".steps{display:flex;align-items:flex-end;gap:3px;height:90px;max-width:680px;border-bottom:1px solid var(--line)}"
    ".steps span{flex:1;height:100%;display:flex;align-items:flex-end}.steps i{display:block;width:100%;background:var(--c2);min-height:1px;"
    "border-radius:2px 2px 0 0}"
    ".terms{grid-template-columns:max-content 1fr;margin-top:1.4rem}",
    /* narrow windows and paper */
    "@media screen and (max-width:820px){.two,.top,.plots{grid-template-columns:minmax(0,1fr)}h1{font-size:1.5rem}main{padding:1rem}"
    ".maps tbody th{width:6rem;padding-right:.4rem}.maps small{white-space:normal}.cost{display:block;overflow-x:auto}}"
    "@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#f4f4f4}.languages{display:none}body{font-size:10.5pt}"
    "main{max-width:none;padding:0}h2,h3{break-after:avoid}tr,figure,.way,pre{break-inside:avoid}.tabs{display:none}"
    ".tables{overflow:visible}.shades{table-layout:fixed;width:100%}.shades td{min-width:0;padding:1px 2px;font-size:5.5pt}"
    ".shades thead th{writing-mode:vertical-rl;padding:2px}.shades tbody th{padding:1px 2px}.top{grid-template-columns:1fr 1fr}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}",
    NULL,
};
