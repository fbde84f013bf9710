/* The page of zouma explain: its frame, the prompt's tokens, and how to make it again.
 * SPDX-License-Identifier: MIT */
#include "app/explain_page.h"

#include <string.h>

#include "app/explain_style.h"

/* ---- tokens ---- */

void zm_explain_column(zm_html *h, const zm_explain_page *p, int column)
{
    if (column >= p->x->tokens) {
        zm_html_both(h, "empty rows", "空行");
        return;
    }
    const char *piece = zm_tokenizer_piece(p->m->tokenizer, p->x->token[column].id);
    size_t mark = strlen(ZM_EXPLAIN_SPACE);
    zm_html_text(h, strncmp(piece, ZM_EXPLAIN_SPACE, mark) || !piece[mark] ? piece : piece + mark);
}

static void chips(zm_html *h, const zm_explain_page *p)
{
    zm_html_f(h, "<p class=\"chips\">");
    for (int i = 0; i < p->x->tokens; i++) {
        const zm_explain_token *t = &p->x->token[i];
        zm_html_f(h, "<span class=\"chip%s\"><bdi>", t->unknown ? " strange" : "");
        zm_html_text(h, zm_tokenizer_piece(p->m->tokenizer, t->id));
        zm_html_f(h, "</bdi><small>%d</small></span> ", t->id);
    }
    zm_html_f(h, "</p>\n");
}

static bool has_bytes(const zm_explain_page *p)
{
    for (int i = 0; i < p->x->tokens; i++)
        if (zm_tokenizer_type(p->m->tokenizer, p->x->token[i].id) == ZM_PIECE_BYTE)
            return true;
    return false;
}

static void tokens(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_section(h, "tokens", 1, "The sentence in tokens", "句子变成词元");
    zm_html_two(
        h, "p",
        "A network knows no letters. The sentence is cut into pieces that were frequent in training, and each piece is a number of the "
        "vocabulary (unigram language model, arXiv:1804.10959); &#9601; marks a space, &lt;/s&gt; the end.",
        "网络不认识字母。句子被切成训练中常见的词片，每个词片是词表里的一个编号（unigram 语言模型，arXiv:1804.10959）；"
        "&#9601; 表示空格，&lt;/s&gt; 表示结束。");
    chips(h, p);
    if (has_bytes(p))
        zm_html_two(
            h, "p",
            "Pieces like <code>&lt;0xE8&gt;</code> are single bytes: a character without a piece of its own falls apart into them.",
            "像 <code>&lt;0xE8&gt;</code> 这样的词片是单个字节：没有自己词片的字会拆成几个字节。");
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">%d tokens of at most %d, out of a vocabulary of %zu. A text encoder (a transformer of "
        "%d layers, arXiv:1910.10683) turns each into a vector of %d numbers that knows its neighbours: &#8220;red&#8221; beside &#8220;ball&#8221; is not "
        "&#8220;red&#8221; alone.</p>",
        x->tokens, p->m->config.dit.text_len, zm_tokenizer_count(p->m->tokenizer), p->m->config.text.num_layers,
        p->m->config.dit.text_dim);
    zm_html_f(
        h,
        "<p lang=\"zh\">%d 个词元（最多 %d 个），词表共 %zu 个。文本编码器（%d 层的变换器，arXiv:1910.10683）把每个词元变成 %d "
        "个数的向量，这个向量了解它的邻居：“球”旁边的“红”和单独的“红”并不相同。</p></div>\n",
        x->tokens, p->m->config.dit.text_len, zm_tokenizer_count(p->m->tokenizer), p->m->config.text.num_layers,
        p->m->config.dit.text_dim);
    if (x->unknown) {
        zm_html_f(h, "<p class=\"warning\">");
        zm_html_both(h, "The model has never learnt:", "模型从未学过：");
        zm_html_f(h, " <bdi>");
        zm_html_text(h, x->unknown);
        zm_html_f(h, "</bdi></p>\n");
    }
    if (x->whole > x->tokens) {
        zm_html_f(
            h,
            "<div class=\"two\"><p class=\"warning\" lang=\"en\">The sentence has %d tokens; the last %d were cut off.</p>",
            x->whole, x->whole - x->tokens);
        zm_html_f(h, "<p class=\"warning\" lang=\"zh\">句子有 %d 个词元，最后 %d 个被截掉。</p></div>\n", x->whole,
                  x->whole - x->tokens);
    }
    zm_html_f(h, "</section>\n");
}

/* ---- the head of the page ---- */

static void clip(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    bool film = p->clip && !strncmp(p->clip_type, "video/", 6);
    zm_html_f(h, "<div class=\"clip\">");
    if (film)
        zm_html_f(
            h,
            "<video controls=\"controls\" loop=\"loop\" muted=\"muted\" playsinline=\"playsinline\" width=\"%d\" height=\"%d\" src=\"",
            x->width, x->height);
    else if (p->clip || x->keys)
        zm_html_f(h, "<img id=\"clip\" width=\"%d\" height=\"%d\" alt=\"the clip\" src=\"", x->width, x->height);
    if (p->clip)
        zm_html_data(h, p->clip_type, p->clip, p->clip_bytes);
    else if (x->keys)
        zm_html_png(h, &x->key[x->keys / 2]);
    zm_html_f(h, film ? "\"></video></div>\n" : "\" /></div>\n");
}

static void fact(zm_html *h, const char *english, const char *chinese)
{
    zm_html_f(h, "<dt>");
    zm_html_both(h, english, chinese);
    zm_html_f(h, "</dt>");
}

static void facts(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_f(h, "<dl class=\"facts\">");
    fact(h, "model", "模型");
    zm_html_f(h, "<dd><bdi>");
    zm_html_text(h, p->m->config.name);
    zm_html_f(h, "</bdi></dd>");
    fact(h, "clip", "视频");
    zm_html_f(h, "<dd>%d x %d, %d <span lang=\"en\">frames</span><span lang=\"zh\">帧</span>, %.4g/s</dd>", x->width,
              x->height, x->r.frames, x->r.fps);
    fact(h, "seed", "种子");
    zm_html_f(h, "<dd>%llu</dd>", (unsigned long long)x->r.seed);
    fact(h, "steps, solver", "步数、求解器");
    zm_html_f(h, "<dd>%d, %s</dd>", x->steps, x->r.solver);
    fact(h, "guidance, shift", "引导、偏移");
    zm_html_f(h, "<dd>%.4g, %.4g</dd></dl>\n", x->r.guidance, x->r.shift);
}

/* The way through the program, as boxes. */
static void way(zm_html *h, const zm_explanation *x)
{
    zm_html_f(h, "<ol class=\"way\"><li>");
    zm_html_both(h, "sentence", "句子");
    zm_html_f(h, "</li><li><a href=\"#tokens\">%d ", x->tokens);
    zm_html_both(h, "tokens", "词元");
    zm_html_f(h, "</a></li><li>");
    zm_html_both(h, "text encoder", "文本编码器");
    zm_html_f(h, "</li><li class=\"loop\"><a href=\"#steps\">transformer</a> <small>%d x, <a href=\"#noise\">",
              x->steps);
    zm_html_both(h, "from noise", "从噪声开始");
    zm_html_f(h, "</a></small></li><li>");
    zm_html_both(h, "autoencoder", "自编码器");
    zm_html_f(h, "</li><li>%d ", x->r.frames);
    zm_html_both(h, "frames", "帧");
    zm_html_f(h, "</li></ol>\n");
}

static void head(zm_html *h, const zm_explain_page *p)
{
    zm_html_f(
        h, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\" />"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />"
           "<meta name=\"color-scheme\" content=\"light dark\" /><meta name=\"generator\" content=\"zouma\" /><title>");
    zm_html_text(h, p->x->r.prompt);
    zm_html_f(h, "</title>\n<style>");
    for (const char *const *rules = zm_explain_style; *rules; rules++)
        zm_html_f(h, "%s\n", *rules);
    zm_html_f(h, "</style></head><body>\n");
    zm_html_f(
        h,
        "<input type=\"radio\" name=\"language\" id=\"two\" checked=\"checked\" /><input type=\"radio\" name=\"language\" id=\"english\" />"
        "<input type=\"radio\" name=\"language\" id=\"chinese\" />"
        "<nav class=\"languages\"><label for=\"two\">English + 中文</label> <label for=\"english\">English</label> "
        "<label for=\"chinese\">中文</label></nav>\n<main><header><p class=\"kicker\">");
    zm_html_both(h, "How this clip came to be", "这段视频是怎样来的");
    zm_html_f(h, "</p><h1><bdi>");
    zm_html_text(h, p->x->r.prompt);
    zm_html_f(h, "</bdi></h1>\n<div class=\"top\">");
    clip(h, p);
    zm_html_f(h, "<div>");
    facts(h, p);
    zm_html_two(
        h, "p",
        "Everything on this page was recorded while this very clip was made: no picture is a sketch, no figure an example.",
        "本页的一切都是在生成这段视频时记录下来的：没有一张图是示意图，没有一个数字是举例。");
    zm_html_f(h, "</div></div>\n");
    way(h, p->x);
    zm_html_f(h, "</header>\n");
}

/* ---- the end of the page ---- */

static void command(zm_html *h, const zm_explain_page *p, const char *name, const char *out)
{
    zm_html_f(h, "zouma %s", name);
    for (int i = 0; i < p->argc; i++) {
        zm_html_f(h, " ");
        zm_html_shell(h, p->argv[i]);
        if (!i)
            zm_html_f(h, " -o ");
        if (!i)
            zm_html_shell(h, out);
    }
}

static void again(zm_html *h, const zm_explain_page *p)
{
    zm_html_section(h, "again", 7, "Again, and further", "重做，以及继续");
    zm_html_two(
        h, "p",
        "The same command gives the same clip and the same figures, times apart. The second one makes the clip alone, bit for bit the "
        "frames of this page. Change one thing at a time: another seed is another noise; fewer steps, a coarser walk; guidance 1, a freer reading.",
        "同一条命令得到同样的视频和同样的数字（时间除外）。第二条命令只生成视频，画面与本页逐位相同。"
        "试着一次只改一样：换种子就是换噪声；步数少，走得就粗；引导为 1，读得就自由。");
    zm_html_f(h, "<pre><code>");
    command(h, p, "explain", p->out);
    if (p->pictures)
        zm_html_f(h, " --pictures %d", p->pictures);
    zm_html_f(h, "\n");
    command(h, p, "generate", "clip.apng");
    zm_html_f(h, " --scale 1</code></pre>\n");
    static const char *const terms[][3] = {
        {"rectified flow", "校正流", "arXiv:2209.03003, arXiv:2210.02747"},
        {"diffusion transformer", "扩散变换器", "arXiv:2212.09748"},
        {"attention", "注意力", "arXiv:1706.03762"},
        {"attention maps over pictures", "画面上的注意力图", "arXiv:2208.01626, arXiv:2210.04885"},
        {"guidance", "引导", "arXiv:2207.12598"},
        {"latent diffusion", "潜空间扩散", "arXiv:2112.10752"},
        {"UniPC, DPM-Solver++", "UniPC、DPM-Solver++", "arXiv:2302.04867, arXiv:2211.01095"},
        {"shift of noise levels", "噪声水平的偏移", "arXiv:2403.03206"},
        {"tokens", "词元", "arXiv:1804.10959"},
        {"text encoder (T5)", "文本编码器（T5）", "arXiv:1910.10683"},
        {"positions by rotation", "旋转位置编码", "arXiv:2104.09864"},
        {"this family of networks", "这一族网络", "arXiv:2503.20314"},
    };
    zm_html_f(h, "<dl class=\"terms\">");
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        fact(h, terms[i][0], terms[i][1]);
        zm_html_f(h, "<dd>%s</dd>", terms[i][2]);
    }
    zm_html_f(h, "</dl></section>\n</main></body></html>\n");
}

void zm_explain_write(zm_html *h, const zm_explain_page *p)
{
    head(h, p);
    tokens(h, p);
    zm_explain_steps(h, p);
    zm_explain_attention(h, p);
    zm_explain_guidance(h, p);
    zm_explain_cost(h, p);
    again(h, p);
}
