/* Sections about the steps: noise levels, what each step predicted, what guidance did.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "app/explain_page.h"
#include "app/explain_plot.h"

/* ---- noise levels ---- */

static void noise_text(zm_html *h)
{
    zm_html_two(
        h, "p",
        "The clip begins as pure noise, drawn from the seed. A noise level &#963; says how much of it is left: 1 is noise alone, "
        "0 is the finished clip. In between the sample is a straight mixture, x = (1 &#8722; &#963;) &#183; clip + &#963; &#183; "
        "noise (rectified flow, arXiv:2209.03003, arXiv:2210.02747). The network looks at the mixture, is told &#963;, and answers "
        "with the <em>velocity</em> v = noise &#8722; clip: the direction from clip to noise. Walking the other way removes noise.",
        "视频从纯噪声开始，噪声由种子（seed）决定。噪声水平 &#963; 表示还剩多少噪声：1 是纯噪声，0 是完成的视频。"
        "两者之间是直线混合：x = (1 &#8722; &#963;) &#183; 视频 + &#963; &#183; 噪声（校正流，arXiv:2209.03003、arXiv:2210.02747）。"
        "网络看到混合物和 &#963;，回答<em>速度</em> v = 噪声 &#8722; 视频，也就是从视频指向噪声的方向。反方向走，噪声就减少。");
}

static void shift_text(zm_html *h, const zm_explanation *x, const zm_solver *s)
{
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">The dashed line would be even steps. <em>Shift</em> %.4g bends it, &#963;&#8242; = s&#963; / "
        "(1 + (s &#8722; 1)&#963;) (arXiv:2403.03206): more steps are spent where noise is strong and the layout is decided. The solver "
        "<code>%s</code> (order %d; %s) chooses how far each step goes from the velocities it has seen. The %d levels of "
        "this run, as they were: </p>",
        x->r.shift, s->name, s->order, s->paper, x->steps + 1);
    zm_html_f(
        h,
        "<p lang=\"zh\">虚线是均匀的步长。<em>偏移</em>（shift）%.4g 把它弯曲：&#963;&#8242; = s&#963; / (1 + (s &#8722; 1)&#963;)（arXiv:2403.03206），"
        "在噪声很强、布局还没有定下来的地方多走几步。求解器 <code>%s</code>（%d 阶；%s）根据见过的速度决定每一步走多远。"
        "这次运行实际用到的 %d 个水平：</p></div>\n",
        x->r.shift, s->name, s->order, s->paper, x->steps + 1);
    zm_html_f(h, "<p class=\"levels\">");
    for (int i = 0; i <= x->steps; i++)
        zm_html_f(h, "%.4f%s", i < x->steps ? x->step[i].sigma : x->sigma_end, i < x->steps ? " &#8594; " : "");
    zm_html_f(h, "</p>\n");
}

static void noise_levels(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    const zm_solver *solver = zm_solver_find(x->r.solver);
    zm_schedule even = {0};
    double *level = malloc(((size_t)x->steps + 1) * sizeof *level);
    zm_html_section(h, "noise", 2, "Noise levels", "噪声水平");
    noise_text(h);
    if (!h->status && !level)
        h->status = zm_fail(h->err, ZM_E_NOMEM, "out of memory for a page");
    if (!h->status)
        h->status = zm_schedule_build(&even, zm_schedule_find(solver->schedule), x->steps, 1, h->err);
    if (!h->status) {
        for (int i = 0; i <= x->steps; i++)
            level[i] = i < x->steps ? x->step[i].sigma : x->sigma_end;
        const zm_explain_line lines[] = {
            {even.sigma, x->steps + 1, 12, "&#963; with shift 1", "偏移为 1 时的 &#963;"},
            {level, x->steps + 1, 1, "&#963; of this run, by steps done", "这次运行的 &#963;（横轴：已走的步数）"}};
        zm_explain_lines(h, lines, 2, 0, 1, true);
    }
    shift_text(h, x, solver);
    zm_html_f(h, "</section>\n");
    zm_schedule_release(&even);
    free(level);
}

/* ---- the picture at each step ---- */

/* Three of the latent's channels as red, green and blue; they are near a standard normal distribution. */
static zm_status latent_picture(zm_frame *out, const zm_explanation *x, const float *latent, zm_error *err)
{
    zm_status s = zm_frame_init(out, x->size.width, x->size.height, err);
    for (int64_t i = 0; !s && i < (int64_t)x->size.width * x->size.height; i++)
        for (int c = 0; c < 3; c++) {
            double v = (double)latent[i * x->size.z + (c < x->size.z ? c : 0)] * 48 + 127.5;
            out->rgb[i * 3 + c] = (uint8_t)(v > 0 ? v < 255 ? v : 255 : 0);
        }
    return s;
}

static void view_row(zm_html *h, const zm_explanation *x, const zm_explain_view *v)
{
    static const char *const of[ZM_EXPLAIN_VIEWS] = {"first", "middle", "last"};
    zm_frame latent = {0};
    if (!h->status)
        h->status = latent_picture(&latent, x, v->noisy, h->err);
    zm_html_f(
        h, "<tr><th scope=\"row\"><b>%d</b><br />&#963; %.3f</th><td><img class=\"pixels\" alt=\"noisy latent\" src=\"",
        v->step + 1, x->step[v->step].sigma);
    if (!h->status)
        zm_html_png(h, &latent);
    zm_html_f(h, "\" /></td>");
    for (int k = 0; k < ZM_EXPLAIN_VIEWS; k++) {
        zm_html_f(h, "<td><img alt=\"step %d, %s frame\" src=\"", v->step + 1, of[k]);
        zm_html_png(h, &v->picture[k]);
        zm_html_f(h, "\" /></td>");
    }
    zm_html_f(h, "</tr>\n");
    zm_frame_release(&latent);
}

static void strip(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_section(h, "steps", 3, "The picture at each step", "每一步的画面");
    zm_html_two(
        h, "p",
        "At every step one can ask: if this velocity were exact, what would the clip be? That is x &#8722; &#963;v, the "
        "<em>denoised prediction</em>. Here it is decoded by the autoencoder for each step. Early predictions are blurred averages of "
        "all clips that could still come; then ground and light settle, then the bodies find their places, then edges.",
        "每一步都可以问：如果这个速度完全正确，视频会是什么样？答案是 x &#8722; &#963;v，即<em>去噪预测</em>。"
        "下面把每一步的预测用自编码器解码出来。早期的预测是所有可能视频的模糊平均；随后是地面和光线，再是物体的位置，最后是边缘。");
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">The network never sees pixels. It works on a <em>latent</em> of %d x %d x %d cells "
        "(frames, rows, columns) with %d numbers each. The first column shows what it really gets: three of these %d numbers in the "
        "middle latent frame, as red, green and blue.%s</p>",
        x->size.frames, x->size.height, x->size.width, x->size.z, x->size.z,
        x->views < x->steps ? " Some steps are left out." : "");
    zm_html_f(
        h,
        "<p lang=\"zh\">网络看不到像素。它处理的是<em>潜变量</em>：%d x %d x %d 个格子（帧、行、列），每格 %d 个数。"
        "第一列是网络真正看到的东西：中间一个潜帧的 %d 个数里的三个，画成红、绿、蓝。%s</p></div>\n",
        x->size.frames, x->size.height, x->size.width, x->size.z, x->size.z,
        x->views < x->steps ? "有些步没有画出来。" : "");
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">The bridge between both is a video autoencoder (latent diffusion, arXiv:2112.10752). Its "
        "encoder learnt to press %d x %d pixels of %d frames into one cell, its decoder to draw them from it; it looks back in "
        "time, never ahead, so the first latent frame stands for one frame alone.</p>",
        p->m->stride, p->m->stride, p->m->time_stride);
    zm_html_f(
        h,
        "<p lang=\"zh\">两者之间的桥梁是视频自编码器（潜空间扩散，arXiv:2112.10752）。它的编码器学会把 %d x %d 像素、%d 帧压进一个格子，"
        "解码器学会从格子里把它们画出来；它只看过去，不看将来，所以第一个潜帧只代表一帧画面。</p></div>\n",
        p->m->stride, p->m->stride, p->m->time_stride);
    zm_html_f(h, "<table class=\"strip\"><thead><tr><th>");
    zm_html_both(h, "step", "步");
    zm_html_f(h, "</th><th>");
    zm_html_both(h, "noisy latent", "带噪潜变量");
    zm_html_f(h, "</th><th>");
    zm_html_both(h, "prediction: first frame", "预测：第一帧");
    zm_html_f(h, "</th><th>");
    zm_html_both(h, "middle", "中间");
    zm_html_f(h, "</th><th>");
    zm_html_both(h, "last", "最后");
    zm_html_f(h, "</th></tr></thead><tbody>\n");
    for (int i = 0; i < x->views; i++)
        view_row(h, x, &x->view[i]);
    zm_html_f(h, "</tbody></table></section>\n");
}

void zm_explain_steps(zm_html *h, const zm_explain_page *p)
{
    noise_levels(h, p);
    strip(h, p);
}

/* ---- guidance ---- */

static void guidance_plots(zm_html *h, const zm_explanation *x)
{
    size_t n = (size_t)x->steps;
    double *y = malloc(4 * n * sizeof *y), most = 0, least = 1;
    if (!y) {
        h->status = h->status ? h->status : zm_fail(h->err, ZM_E_NOMEM, "out of memory for a page");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] = x->step[i].with;
        y[n + i] = x->step[i].without;
        y[2 * n + i] = x->step[i].apart;
        y[3 * n + i] = x->step[i].cosine;
        most = fmax(most, fmax(y[i], fmax(y[n + i], y[2 * n + i])));
        least = fmin(least, y[3 * n + i]);
    }
    const zm_explain_line norms[] = {{y, x->steps, 1, "with the prompt", "有提示词"},
                                     {y + n, x->steps, 2, "without it", "没有提示词"},
                                     {y + 2 * n, x->steps, 3, "their difference", "两者之差"}};
    const zm_explain_line cosine[] = {{y + 3 * n, x->steps, 1, "cosine between both velocities", "两个速度的余弦"}};
    zm_html_f(h, "<div class=\"plots\">");
    zm_explain_lines(h, norms, 3, 0, ceil(most * 5) / 5, false);
    zm_explain_lines(h, cosine, 1, fmin(floor(least * 10) / 10, 0.9), 1, false);
    zm_html_f(h, "</div>\n");
    free(y);
}

void zm_explain_guidance(zm_html *h, const zm_explain_page *p)
{
    const zm_explanation *x = p->x;
    zm_html_section(h, "guidance", 5, "What guidance does", "引导做了什么");
    if (x->r.guidance == 1 && x->r.guidance_low == 1) {
        zm_html_two(
            h, "p",
            "Guidance was 1 in this run, which switches it off: each step asked the network once, with the prompt, and took its answer "
            "as it came.",
            "这次运行的引导是 1，也就是关闭：每一步只带着提示词问网络一次，答案直接使用。");
        zm_html_f(h, "</section>\n");
        return;
    }
    zm_html_f(
        h,
        "<div class=\"two\"><p lang=\"en\">Each step asks twice: with the prompt, and with %s. The difference of both answers is what "
        "the prompt asks for. It is exaggerated: v = v<sub>without</sub> + %.4g (v<sub>with</sub> &#8722; v<sub>without</sub>) "
        "(classifier-free guidance, arXiv:2207.12598). Left: the root mean square of both velocities and of their difference, step by "
        "step. Right: the cosine between them; where it dips the prompt has most to say.</p>",
        x->r.negative && *x->r.negative ? "a text to steer away from" : "an empty text", x->r.guidance);
    zm_html_f(h,
              "<p lang=\"zh\">每一步问两次：一次有提示词，一次用%s。两个答案之差就是提示词的要求，它会被放大："
              "v = v<sub>无</sub> + %.4g (v<sub>有</sub> &#8722; v<sub>无</sub>)（无分类器引导，arXiv:2207.12598）。"
              "左图：每一步两个速度及其差的均方根。右图：两个速度的余弦；越低的地方，提示词的作用越大。</p></div>\n",
              x->r.negative && *x->r.negative ? "要避开的文字" : "空文字", x->r.guidance);
    guidance_plots(h, x);
    zm_html_f(h, "</section>\n");
}
