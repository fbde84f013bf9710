/* Names and behaviour of everything a prompt can name: one row each.
 * SPDX-License-Identifier: MIT */
#include "world/tables.h"

#include <string.h>

static const zm_class_row class_rows[] = {{NULL, KIND_BALL, 1.25f, "ball|sphere|toy ball", "球|圆球|小球", "个"},
                                          {NULL, KIND_CUBE, 1.15f, "cube|box|block", "方块|盒子|箱子|积木", "个"},
                                          {NULL, KIND_CAN, 1.25f, "cylinder|can", "圆柱|圆柱体|罐子", "个"},
#define ROW(icon, kind, size, en, zh, measure) {icon, kind, size, en, zh, measure},
                                          ZM_THING_TABLE(ROW)
#undef ROW
};

static const struct colour_row {
    const char *en, *zh;
    uint8_t rgb[3];
} colour_rows[] = {
    {"red", "红色|红", {222, 36, 36}},           {"orange", "橙色|橙", {250, 130, 16}},
    {"yellow", "黄色|黄", {250, 214, 24}},       {"green", "绿色|绿", {16, 150, 60}},
    {"blue", "蓝色|蓝", {28, 84, 224}},          {"purple", "紫色|紫", {126, 44, 190}},
    {"pink", "粉色|粉红色|粉", {252, 122, 178}}, {"white", "白色|白", {244, 244, 244}},
};

static const struct pair_row {
    const char *en, *zh;
} material_rows[] = {{"matte|plain", "普通|哑光"}, {"shiny|glossy", "光亮|光滑"}, {"metal|metallic", "金属"}},
  light_rows[] = {{"day|daylight|sunny", "白天|晴天"},
                  {"sunset|dusk|evening", "日落|黄昏|傍晚"},
                  {"night|moonlight", "夜里|夜晚|晚上|月光"},
                  {"overcast|cloudy", "阴天|多云"}},
  camera_rows[] = {{"static", "静止"},
                   {"pan left", "向左平移"},
                   {"pan right", "向右平移"},
                   {"zoom in", "推近"},
                   {"zoom out", "拉远"}};

static const zm_ground_row ground_rows[] = {
    {"grass|lawn|meadow", "草地|草坪", 0.90f, 0.9f},
    {"wood|wooden floor", "木地板|木板", 1.00f, 0.7f},
    {"snow", "雪地|雪", 0.70f, 0.5f},
    {"tiles|checkered floor", "瓷砖|格子地板", 1.00f, 0.6f},
    {"sand|beach", "沙滩|沙地", 0.60f, 1.0f},
    {"ice|frozen lake", "冰面|冰", 0.95f, 0.1f},
};

#define BIT(a) (1u << (a))
static const struct action_row {
    const char *en, *zh;
    unsigned kinds; /* bit k: a body of zm_kind k can be the subject */
} action_rows[ZM_ACT_COUNT] = {
    [ZM_ACT_REST] = {"rest|stand|stay still", "静止|停着|待着", ~BIT(KIND_BALLOON)},
    [ZM_ACT_FALL] = {"fall|drop", "落下|掉下", ~BIT(KIND_BALLOON)},
    [ZM_ACT_BOUNCE] = {"bounce", "弹跳|弹起", BIT(KIND_BALL) | BIT(KIND_ANIMAL)},
    [ZM_ACT_ROLL] = {"roll", "滚动|滚", BIT(KIND_BALL) | BIT(KIND_FRUIT)},
    [ZM_ACT_SLIDE] = {"slide", "滑动|滑", BIT(KIND_CUBE) | BIT(KIND_CAN) | BIT(KIND_PARCEL)},
    [ZM_ACT_DRIVE] = {"drive", "行驶|开", BIT(KIND_VEHICLE)},
    [ZM_ACT_HOP] = {"hop|jump", "跳|蹦跳", BIT(KIND_ANIMAL)},
    [ZM_ACT_RISE] = {"rise|float up", "升起|飘起", BIT(KIND_BALLOON)},
    [ZM_ACT_COLLIDE] = {"collide|knock apart", "撞开|撞", BIT(KIND_BALL) | BIT(KIND_ANIMAL) | BIT(KIND_VEHICLE)},
    [ZM_ACT_PUSH] = {"push", "推", BIT(KIND_ANIMAL) | BIT(KIND_VEHICLE)},
    [ZM_ACT_TOPPLE] = {"topple|knock over", "撞倒|撞塌", BIT(KIND_BALL) | BIT(KIND_ANIMAL) | BIT(KIND_VEHICLE)},
    [ZM_ACT_RAMP] = {"roll down a ramp|go down a ramp", "滚下斜坡|下坡", BIT(KIND_BALL) | BIT(KIND_FRUIT)},
    [ZM_ACT_BEHIND] = {"pass behind a wall", "从墙后经过",
                       BIT(KIND_BALL) | BIT(KIND_FRUIT) | BIT(KIND_ANIMAL) | BIT(KIND_VEHICLE)},
};

#define ROWS(a) ((int)(sizeof(a) / sizeof((a)[0])))

int zm_world_count(zm_world_attr a)
{
    static const int counts[ZM_ATTR_COUNT] = {
        [ZM_ATTR_CLASS] = ROWS(class_rows),       [ZM_ATTR_COLOUR] = ROWS(colour_rows),
        [ZM_ATTR_MATERIAL] = ROWS(material_rows), [ZM_ATTR_ACTION] = ROWS(action_rows),
        [ZM_ATTR_GROUND] = ROWS(ground_rows),     [ZM_ATTR_LIGHT] = ROWS(light_rows),
        [ZM_ATTR_CAMERA] = ROWS(camera_rows),
    };
    return (unsigned)a < ZM_ATTR_COUNT ? counts[a] : 0;
}

/* The '|'-separated names of a value, or NULL. */
static const char *names_of(zm_world_attr a, int v, zm_lang lang)
{
    if (v < 0 || v >= zm_world_count(a))
        return NULL;
    bool en = lang == ZM_LANG_EN;
    switch (a) {
    case ZM_ATTR_CLASS:
        return en ? class_rows[v].en : class_rows[v].zh;
    case ZM_ATTR_COLOUR:
        return en ? colour_rows[v].en : colour_rows[v].zh;
    case ZM_ATTR_MATERIAL:
        return en ? material_rows[v].en : material_rows[v].zh;
    case ZM_ATTR_ACTION:
        return en ? action_rows[v].en : action_rows[v].zh;
    case ZM_ATTR_GROUND:
        return en ? ground_rows[v].en : ground_rows[v].zh;
    case ZM_ATTR_LIGHT:
        return en ? light_rows[v].en : light_rows[v].zh;
    case ZM_ATTR_CAMERA:
        return en ? camera_rows[v].en : camera_rows[v].zh;
    default:
        return NULL;
    }
}

int zm_world_name(zm_world_attr a, int value, zm_lang lang, int k, char *out, size_t cap)
{
    const char *p = names_of(a, value, lang);
    for (; p && k > 0; k--) {
        p = strchr(p, '|');
        p = p ? p + 1 : NULL;
    }
    if (!p || k < 0 || cap == 0)
        return 0;
    size_t n = strcspn(p, "|");
    if (n >= cap)
        return 0;
    memcpy(out, p, n);
    out[n] = 0;
    return (int)n;
}

int zm_world_find(zm_world_attr a, const char *name)
{
    char text[64];
    for (int v = 0; v < zm_world_count(a); v++)
        for (int lang = 0; lang < ZM_LANG_COUNT; lang++)
            for (int k = 0; zm_world_name(a, v, (zm_lang)lang, k, text, sizeof text); k++)
                if (!strcmp(text, name))
                    return v;
    return -1;
}

bool zm_world_can(int cls, int action)
{
    if (cls < 0 || cls >= ROWS(class_rows) || action < 0 || action >= ZM_ACT_COUNT)
        return false;
    return action_rows[action].kinds >> class_rows[cls].kind & 1;
}

void zm_world_colour_rgb(int colour, uint8_t rgb[3])
{
    bool known = colour >= 0 && colour < ROWS(colour_rows);
    for (int c = 0; c < 3; c++)
        rgb[c] = known ? colour_rows[colour].rgb[c] : 0;
}

const zm_class_row *zm_class_at(int cls)
{
    ZM_ASSERT(cls >= 0 && cls < ROWS(class_rows));
    return &class_rows[cls];
}

const zm_ground_row *zm_ground_at(int ground)
{
    ZM_ASSERT(ground >= 0 && ground < ROWS(ground_rows));
    return &ground_rows[ground];
}

int zm_world_core_classes(void)
{
    return ZM_CLASS_SHAPES + ZM_THINGS_CORE;
}

int zm_world_core_grounds(void)
{
    return GROUND_ICE;
}
