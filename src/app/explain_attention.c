/* Which patch attends to which word: heat maps over the clip's own frames, all of it from the weights of the run.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "app/explain_page.h"
#include "app/explain_plot.h"

enum { COLUMNS_MAX = 48, TILES_MAX = 512 /* of all blocks together */ };

static int shown(const zm_explanation *x)
{
    return x->columns < COLUMNS_MAX ? x->columns : COLUMNS_MAX;
}

/* Column c of rows [n,columns]: least, most and mean. */
typedef struct range {
    double lo, hi, mean;
} range;

static range range_of(const zm_explanation *x, const float *rows, int64_t n, int c)
{
    range r = {1, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        double w = (double)rows[i * x->columns + c];
        r.lo = fmin(r.lo, w);
        r.hi = fmax(r.hi, w);
        r.mean += w / (double)n;
    }
    return r;
}

/* ---- heat maps ---- */

static zm_status grey_of(zm_frame *out, const zm_frame *in, zm_error *err)
{
    zm_status s = zm_frame_init(out, in->width, in->height, err);
    for (int64_t i = 0; !s && i < (int64_t)in->width * in->height; i++) {
        const uint8_t *p = in->rgb + i * 3;
        int v = (54 * p[0] + 183 * p[1] + 19 * p[2] + 128) >> 8;
        out->rgb[i * 3] = out->rgb[i * 3 + 1] = out->rgb[i * 3 + 2] = (uint8_t)v;
    }
    return s;
}

/* The frames that maps lie over, once, to be used by all of them. */
static void define_frames(zm_html *h, const zm_explanation *x)
{
    zm_html_f(h, "<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>");
    for (int i = 0; i < x->keys; i++) {
        zm_frame grey = {0};
        if (!h->status)
            h->status = grey_of(&grey, &x->key[i], h->err);
        zm_html_f(h, "<image id=\"frame%d\" width=\"%d\" height=\"%d\" href=\"", i, x->key[i].width, x->key[i].height);
        if (!h->status)
            zm_html_png(h, &grey);
        zm_html_f(h, "\" />");
        zm_frame_release(&grey);
    }
    zm_html_f(h, "</defs></svg>\n");
}

/* Weights of column c over the cells of one latent frame, `hi` the brightest. */
static void heat(zm_html *h, const zm_explanation *x, const float *rows, int c, double hi, int key)
{
    int width = x->key[key].width, height = x->key[key].height;
    zm_frame cells = {0};
    if (!h->status)
        h->status = zm_frame_init(&cells, (int)x->grid[2], (int)x->grid[1], h->err);
    if (h->status)
        return;
    for (int64_t i = 0; i < x->grid[1] * x->grid[2]; i++)
        zm_explain_shade(hi > 0 ? (double)rows[i * x->columns + c] / hi : 0, cells.rgb + i * 3);
    zm_html_f(
        h,
        "<svg class=\"heat\" viewBox=\"0 0 %d %d\"><use href=\"#frame%d\" /><image class=\"pixels\" opacity=\"0.66\" width=\"%d\" height=\"%d\" "
        "preserveAspectRatio=\"none\" href=\"",
        width, height, key, width, height);
    zm_html_png(h, &cells);
    zm_html_f(h, "\" /></svg>");
    zm_frame_release(&cells);
}

/* The frame among those shown that is nearest to the middle latent frame. */
static int middle_key(const zm_explanation *x)
{
    int best = 0;
    for (int i = 1; i < x->keys; i++)
        if (abs(x->key_latent[i] - (int)x->grid[0] / 2) < abs(x->key_latent[best] - (int)x->grid[0] / 2))
            best = i;
    return best;
}

/* ---- panels ---- */

static void word(zm_html *h, const zm_explain_page *p, int c)
{
    bool strange = c < p->x->tokens && p->x->token[c].unknown;
    zm_html_f(h, "<b class=\"word%s\"><bdi>", strange ? " strange" : "");
    zm_explain_column(h, p, c);
    zm_html_f(h, "</bdi></b>");
}

static void all_blocks(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    int64_t cells = x->grid[1] * x->grid[2];
    zm_html_f(h, "<div class=\"panel all\"><table class=\"maps\"><thead><tr><th></th>");
    for (int i = 0; i < x->keys; i++) {
        zm_html_f(h, "<th>");
        zm_html_both(h, "latent frame", "潜帧");
        zm_html_f(h, " %d<img alt=\"frame\" src=\"", x->key_latent[i] + 1);
        zm_html_png(h, &x->key[i]);
        zm_html_f(h, "\" /></th>");
    }
    zm_html_f(h, "</tr></thead><tbody>\n");
    for (int c = 0; c < shown(x); c++) {
        range r = range_of(x, x->map, x->grid[0] * cells, c);
        zm_html_f(h, "<tr><th scope=\"row\">");
        word(h, p, c);
        zm_html_f(
            h,
            "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span><small>%.1f %% (%.1f &#8211; %.1f)</small></th>",
            100 * r.mean, 100 * r.mean, 100 * r.lo, 100 * r.hi);
        for (int i = 0; i < x->keys; i++) {
            /* patches may span several latent frames */
            int64_t f = x->key_latent[i] * x->grid[0] / x->size.frames;
            zm_html_f(h, "<td>");
            heat(h, x, x->map + f * cells * x->columns, c, r.hi, i);
            zm_html_f(h, "</td>");
        }
        zm_html_f(h, "</tr>\n");
    }
    zm_html_f(h, "</tbody></table></div>\n");
}

static void one_block(zm_html *h, const zm_explain_page *p, int block)
{
    const zm_explanation *x = p->x;
    int64_t cells = x->grid[1] * x->grid[2];
    const float *rows = x->block_map + block * cells * x->columns;
    int n = shown(x), most = TILES_MAX / x->blocks > 12 ? TILES_MAX / x->blocks : 12;
    n = n < most ? n : most;
    zm_html_f(h, "<div class=\"panel b%d\"><h3>", block);
    zm_html_both(h, "Block", "第");
    zm_html_f(h, " %d <span lang=\"zh\">层</span></h3><div class=\"tiles\">", block + 1);
    for (int c = 0; c < n; c++) {
        range r = range_of(x, rows, cells, c);
        zm_html_f(h, "<figure>");
        heat(h, x, rows, c, r.hi, middle_key(x));
        zm_html_f(h, "<figcaption>");
        word(h, p, c);
        zm_html_f(h, " <small>%.1f %%</small></figcaption></figure>", 100 * r.mean);
    }
    zm_html_f(h, "</div></div>\n");
}

/* Choosing a block needs no script: radio buttons, and rules that show the panel of the one that is on. */
static void panels(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_f(h, "<style>");
    for (int b = 0; b < x->blocks; b++)
        zm_html_f(h, "#block%d:checked~.panels .b%d,", b, b);
    zm_html_f(h, "#block-all:checked~.panels .all{display:block}");
    for (int b = 0; b < x->blocks; b++)
        zm_html_f(h, "#block%d:checked~.tabs .l%d,", b, b);
    zm_html_f(h,
              "#block-all:checked~.tabs .la{background:var(--accent);color:var(--bg)}</style>\n<div class=\"choice\">");
    zm_html_f(h, "<input type=\"radio\" name=\"block\" id=\"block-all\" checked=\"checked\" />");
    for (int b = 0; b < x->blocks; b++)
        zm_html_f(h, "<input type=\"radio\" name=\"block\" id=\"block%d\" />", b);
    zm_html_f(h, "<p class=\"tabs\"><label class=\"la\" for=\"block-all\">");
    zm_html_both(h, "all blocks", "所有层");
    zm_html_f(h, "</label>");
    for (int b = 0; b < x->blocks; b++)
        zm_html_f(h, " <label class=\"l%d\" for=\"block%d\">%d</label>", b, b, b + 1);
    zm_html_f(h, "</p><div class=\"panels\">\n");
    all_blocks(h, p);
    for (int b = 0; b < x->blocks; b++)
        one_block(h, p, b);
    zm_html_f(h, "</div></div>\n");
}

/* Rows of steps or of blocks, a shade for the share of each column, each column by its own largest. */
static void table(zm_html *h, const zm_explain_page *p, const float *share, int rows, const char *english,
                  const char *chinese)
{
    const zm_explanation *x = p->x;
    zm_html_f(h, "<table class=\"shades\"><thead><tr><th>");
    zm_html_both(h, english, chinese);
    zm_html_f(h, "</th>");
    for (int c = 0; c < shown(x); c++) {
        zm_html_f(h, "<th>");
        word(h, p, c);
        zm_html_f(h, "</th>");
    }
    zm_html_f(h, "</tr></thead><tbody>\n");
    for (int i = 0; i < rows; i++) {
        zm_html_f(h, "<tr><th scope=\"row\">%d</th>", i + 1);
        for (int c = 0; c < shown(x); c++) {
            uint8_t rgb[3];
            range r = range_of(x, share, rows, c);
            double w = (double)share[i * x->columns + c], v = r.hi > 0 ? w / r.hi : 0;
            zm_explain_shade(v, rgb);
            zm_html_f(h, "<td style=\"background:#%02x%02x%02x;color:%s\">%.1f</td>", rgb[0], rgb[1], rgb[2],
                      v > 0.6 ? "#111" : "#eee", 100 * w);
        }
        zm_html_f(h, "</tr>\n");
    }
    zm_html_f(h, "</tbody></table>\n");
}

void zm_explain_attention(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_section(h, "attention", 4, "Which region attends to which word", "哪个区域关注哪个词");
    zm_html_two(
        h, "p",
        "In every block of the transformer (arXiv:2212.09748) each patch of the latent asks a question, a vector q, and every token of the text "
        "offers a key k. The weights softmax(q k<sup>T</sup>) say how much of each token's value the patch takes: cross-attention "
        "(arXiv:1706.03762). For a patch they sum to 1. These are the weights that made this clip: the means over heads, blocks and steps "
        "of the branch with the prompt, computed by the very kernel that the network runs.",
        "在变换器的每一层里（arXiv:2212.09748），潜变量的每个小块提出一个问题（向量 q），文本的每个词元给出一个键 k。"
        "权重 softmax(q k<sup>T</sup>) 表示这个小块从每个词元取多少内容：这就是交叉注意力（arXiv:1706.03762）。对一个小块，权重之和为 1。"
        "下面就是生成这段视频时的权重：有提示词的那一支对注意力头、层和步的平均，由网络自己运行的同一个内核算出。");
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">Each map covers %lld x %lld patches of a latent frame. Colours run from 0 to the word's own largest "
        "weight, so maps of different words show place, not strength; strength stands beside the word: mean, least and most over "
        "all patches. %s Attention shows where information is read, which is a hint and no proof of what caused what. Choose a "
        "block to see the middle latent frame in it alone.%s</p>",
        (long long)x->grid[1], (long long)x->grid[2],
        x->padded
            ? "<em>Empty rows</em> are the rest of the context, which the network was trained to attend to as well; "
              "&lt;/s&gt; ends the text. Both often serve as a place to look when there is nothing to read."
            : "&lt;/s&gt; ends the text.",
        x->columns > shown(x) ? " Only the first tokens are drawn." : "");
    zm_html_f(
        h,
        "<p lang=\"zh\">每张图覆盖一个潜帧的 %lld x %lld 个小块。颜色从 0 到这个词自己的最大权重，所以不同词的图比较的是位置，不是强弱；"
        "强弱写在词旁边：所有小块的平均、最小和最大。%s注意力说明信息从哪里读取，这是线索，并不证明因果。"
        "选一层，可以单独看它在中间一个潜帧里的注意力。%s</p></div>\n",
        (long long)x->grid[1], (long long)x->grid[2],
        x->padded
            ? "<em>空行</em>是上下文剩下的部分，网络在训练时也会关注它们；&lt;/s&gt; 表示文本结束。没有内容可读时，两者常常被当作“看向别处”的地方。"
            : "&lt;/s&gt; 表示文本结束。",
        x->columns > shown(x) ? "只画出前面的词元。" : "");
    define_frames(h, x);
    panels(h, p);
    zm_html_two(h, "h3", "When is a word read?", "什么时候读哪个词？");
    zm_html_two(
        h, "p",
        "Share of all attention, in percent, by step and by block. Each column is shaded by its own largest value.",
        "占全部注意力的百分比，按步和按层。每一列按自己的最大值着色。");
    zm_html_f(h, "<div class=\"tables\">");
    table(h, p, x->step_share, x->steps, "step", "步");
    table(h, p, x->block_share, x->blocks, "block", "层");
    zm_html_f(h, "</div></section>\n");
}
