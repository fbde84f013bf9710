/* What each part of making the clip took.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "app/explain_page.h"

typedef struct part {
    const char *english, *chinese;
    double seconds, flops;       /* flops < 0: not counted */
    double weights, work, count; /* bytes, bytes, numbers */
    double file;                 /* bytes written; 0: none */
} part;

enum { PARTS = 4 };

static double sum_of(const zm_explanation *x, bool flops, int work)
{
    double sum = 0;
    for (int i = 0; i < x->steps; i++)
        for (int k = 0; k < ZM_WORK_COUNT; k++)
            if (work < 0 || work == k)
                sum += flops ? x->step[i].cost.flops[k] : x->step[i].cost.seconds[k];
    return sum;
}

static part part_of(const zm_memory_phase *p, const char *english, const char *chinese, double seconds, double flops)
{
    return (part){.english = english,
                  .chinese = chinese,
                  .seconds = seconds,
                  .flops = flops,
                  .weights = (double)(p->owned + p->mapped),
                  .work = (double)p->work,
                  .count = (double)p->params};
}

static void cell(zm_html *h, double value, double most, const char *unit)
{
    zm_html_f(h, "<td>");
    if (value < 0 || !isfinite(value))
        zm_html_f(h, "&#8211;");
    else
        zm_html_amount(h, value, unit);
    if (value > 0 && most > 0)
        zm_html_f(h, "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span>", 100 * value / most);
    zm_html_f(h, "</td>");
}

static void head_row(zm_html *h)
{
    static const char *const head[][2] = {{"part", "部分"},       {"time", "时间"},    {"arithmetic", "运算量"},
                                          {"parameters", "参数"}, {"weights", "权重"}, {"working memory", "工作内存"}};
    zm_html_f(h, "<table class=\"cost\"><thead><tr>");
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        zm_html_f(h, "<th>");
        zm_html_both(h, head[i][0], head[i][1]);
        zm_html_f(h, "</th>");
    }
    zm_html_f(h, "</tr></thead><tbody>\n");
}

static void parts_table(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    const zm_memory_phase *phase = x->memory.phase;
    part row[PARTS] = {part_of(&phase[ZM_PHASE_TEXT], "text encoder: both texts, once", "文本编码器：两段文字，一次",
                               x->text_s, phase[ZM_PHASE_TEXT].flops),
                       part_of(&phase[ZM_PHASE_DENOISE], "transformer: all steps", "变换器：所有步",
                               sum_of(x, false, -1), sum_of(x, true, -1)),
                       part_of(&phase[ZM_PHASE_DECODE], "autoencoder: latent to frames", "自编码器：潜变量到画面",
                               x->decode_s, phase[ZM_PHASE_DECODE].flops),
                       {.english = "writing the clip as a file",
                        .chinese = "把视频写成文件",
                        .seconds = p->encode_s,
                        .file = (double)p->clip_bytes,
                        .flops = -1,
                        .weights = -1,
                        .work = -1,
                        .count = -1}};
    if (phase[ZM_PHASE_LOW].present) { /* a second expert, beside the first */
        row[1].weights += (double)(phase[ZM_PHASE_LOW].owned + phase[ZM_PHASE_LOW].mapped);
        row[1].count += (double)phase[ZM_PHASE_LOW].params;
    }
    double seconds = 0, flops = 0, weights = 0, count = 0, work = 0;
    for (int i = 0; i < PARTS; i++) {
        seconds += row[i].seconds;
        flops += fmax(row[i].flops, 0);
        weights += fmax(row[i].weights, 0);
        count += fmax(row[i].count, 0);
        work = fmax(work, row[i].work);
    }
    head_row(h);
    for (int i = 0; i < PARTS; i++) {
        zm_html_f(h, "<tr><th scope=\"row\">");
        zm_html_both(h, row[i].english, row[i].chinese);
        if (row[i].file > 0) {
            zm_html_f(h, ": ");
            zm_html_amount(h, row[i].file, "B");
        }
        zm_html_f(h, "</th>");
        cell(h, row[i].seconds, seconds, "s");
        cell(h, row[i].flops, flops, "FLOP");
        cell(h, row[i].count, count, "");
        cell(h, row[i].weights, weights, "B");
        cell(h, row[i].work, work, "B");
        zm_html_f(h, "</tr>\n");
    }
    zm_html_f(h, "<tr class=\"sum\"><th scope=\"row\">");
    zm_html_both(h, "together", "合计");
    zm_html_f(h, "</th>");
    cell(h, seconds, 0, "s");
    cell(h, flops, 0, "FLOP");
    cell(h, count, 0, "");
    cell(h, weights, 0, "B");
    zm_html_f(h, "<td>&#8211;</td></tr></tbody></table>\n");
}

/* Inside a step: where time and arithmetic go. */
static void step_table(zm_html *h, const zm_explanation *x)
{
    static const char *const name[ZM_WORK_COUNT][2] = {
        {"linear maps", "线性层"},
        {"self-attention", "自注意力"},
        {"cross-attention", "交叉注意力"},
        {"norms, rotations, copies", "归一化、旋转、复制"},
    };
    double seconds = sum_of(x, false, -1), flops = sum_of(x, true, -1);
    zm_html_two(h, "h3", "Inside a step", "一步之内");
    zm_html_f(h,
              "<div class=\"two\"><p lang=\"en\">A step is %d branch%s of %lld patches through %d blocks; on average ",
              x->r.guidance == 1 && x->r.guidance_low == 1 ? 1 : 2,
              x->r.guidance == 1 && x->r.guidance_low == 1 ? "" : "es", (long long)x->memory.tokens, x->blocks);
    zm_html_amount(h, seconds / x->steps, "s");
    zm_html_f(h, " and ");
    zm_html_amount(h, flops / x->steps, "FLOP");
    zm_html_f(h, ".</p><p lang=\"zh\">一步是 %d 支、每支 %lld 个小块穿过 %d 层；平均 ",
              x->r.guidance == 1 && x->r.guidance_low == 1 ? 1 : 2, (long long)x->memory.tokens, x->blocks);
    zm_html_amount(h, seconds / x->steps, "s");
    zm_html_f(h, "、");
    zm_html_amount(h, flops / x->steps, "FLOP");
    zm_html_f(h, "。</p></div>\n");
    zm_html_two(
        h, "p",
        "In every block each patch first looks at all other patches, so that a ball in one frame finds itself in the next "
        "(self-attention); rotations of the vectors tell how far apart two patches are in time, height and width (arXiv:2104.09864). Then it "
        "looks at the text (cross-attention). Then a small network works on each patch by itself. The noise level enters every "
        "block as a scale and a shift. Linear maps stand before, between and after all of these; they hold the parameters.",
        "在每一层里，每个小块先看所有其他小块，于是这一帧里的球能找到下一帧里的自己（自注意力）；向量的旋转告诉网络两个小块在时间、高、宽上相距多远"
        "（arXiv:2104.09864）。然后看文字（交叉注意力），再由一个小网络单独处理每个小块。噪声水平以缩放和平移的形式进入每一层。"
        "线性层在这一切的前后和中间，参数都在它们里面。");
    if (x->memory.blocks)
        zm_html_f(
            h,
            "<div class=\"two\"><p lang=\"en\">This model looks back only: the clip is made in %d pieces of %d latent "
            "frames, one after the other, each by all the steps. A patch sees those of its own piece and what was kept of "
            "the pieces before. Figures are sums over the pieces; the run that keeps a finished piece is left out.</p>"
            "<p lang=\"zh\">这个模型只看过去：视频分成 %d 段、每段 %d 个潜帧，一段接一段地做，每段都走完所有步。小块看得到自己这一段和前面各段"
            "留下的东西。数字是各段之和；做完一段后用来留下它的那一次运行没有算进去。</p></div>\n",
            x->memory.blocks, x->size.frames / x->memory.blocks, x->memory.blocks, x->size.frames / x->memory.blocks);
    zm_html_f(h, "<table class=\"cost inner\"><tbody>\n");
    for (int k = 0; k < ZM_WORK_COUNT; k++) {
        zm_html_f(h, "<tr><th scope=\"row\">");
        zm_html_both(h, name[k][0], name[k][1]);
        zm_html_f(h, "</th>");
        cell(h, sum_of(x, false, k) / x->steps, seconds / x->steps, "s");
        double f = sum_of(x, true, k) / x->steps;
        cell(h, f > 0 ? f : -1, flops / x->steps, "FLOP");
        zm_html_f(h, "</tr>\n");
    }
    zm_html_f(h, "</tbody></table>\n");
}

/* A bar a step: the first may carry what the others share. */
static void step_bars(zm_html *h, const zm_explanation *x)
{
    double most = 0;
    zm_html_two(h, "h3", "Step by step", "逐步");
    zm_html_f(h, "<p class=\"steps\">");
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->steps; i++) {
            double s = 0;
            for (int k = 0; k < ZM_WORK_COUNT; k++)
                s += x->step[i].cost.seconds[k];
            most = fmax(most, s);
            if (pass)
                zm_html_f(h, "<span title=\"%d: %.2f ms\"><i style=\"height:%.1f%%\"></i></span>", i + 1, 1e3 * s,
                          most > 0 ? 100 * s / most : 0);
        }
    zm_html_f(h, "</p>\n");
}

void zm_explain_cost(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_section(h, "cost", 6, "What it cost", "花费了多少");
    zm_html_two(
        h, "p",
        "Measured while this clip was made. Arithmetic counts multiplications and additions of matrix products, convolutions and "
        "attention (FLOP); parameters are the numbers learnt in training; weights and working memory are the bytes they and a "
        "part's intermediate results take. Time of the transformer is that of its own operations: what looking on takes is left "
        "out. Times belong to this machine and moment; arithmetic does not.",
        "在生成这段视频时测量。运算量是矩阵乘法、卷积和注意力的乘法与加法次数（FLOP）；参数是训练中学到的数；权重和工作内存是它们以及一个部分的中间结果占用的字节。"
        "变换器的时间只算它自己的运算，不包括观察所花的时间。时间属于这台机器和这一刻，运算量则不然。");
    parts_table(h, p);
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">%sText to video uses the decoder half of the autoencoder alone; its encoder works "
        "where pictures are given.</p>",
        x->open_s > 0 ? "Reading the weights before the first part began is not among them. " : "");
    zm_html_f(h, "<p lang=\"zh\">%s从文字生成视频只用到自编码器的解码器；编码器在给定图片时才工作。</p></div>\n",
              x->open_s > 0 ? "开始之前读取权重的时间不计算在内。" : "");
    step_table(h, x);
    step_bars(h, x);
    zm_html_f(h, "</section>\n");
}
