/* Phrases of the caption grammar: data only.
 * SPDX-License-Identifier: MIT */
#include "world/phrases.h"

#include "world/tables.h"

static const char *const action_phrase[ZM_ACT_COUNT][ZM_LANG_COUNT] = {
    [ZM_ACT_REST] = {"{rests/rest/resting}|{sits/sit/sitting}|{stays/stay/staying} still|{stands/stand/standing} still",
                     "静静地待着|一动不动|停着不动"},
    [ZM_ACT_FALL] = {"!{falls/fall/falling} %G|!{drops/drop/dropping} %G|{falls/fall/falling} down|"
                     "!{falls/fall/falling} from above %G|{drops/drop/dropping} down",
                     "!落到%G|!掉到%G|落下来|掉下来|!从上面落到%G"},
    [ZM_ACT_BOUNCE] = {"{bounces/bounce/bouncing}|{bounces/bounce/bouncing} up and down|{is/are/} bouncing|"
                       "{falls/fall/falling} and {bounces/bounce/bouncing}",
                       "弹跳|弹来弹去|上下弹跳|弹起又落下|蹦跳着弹起来"},
    [ZM_ACT_ROLL] =
        {"{rolls/roll/rolling} to the %D|{rolls/roll/rolling}|{rolls/roll/rolling} %D|{is/are/} rolling to the %D",
         "向%D滚动|滚动|滚向%D边|往%D滚"},
    [ZM_ACT_SLIDE] =
        {"{slides/slide/sliding} to the %D|{slides/slide/sliding}|{glides/glide/gliding} to the %D|{slides/slide/sliding} %D",
         "向%D滑动|滑动|滑向%D边|往%D滑"},
    [ZM_ACT_DRIVE] =
        {"{drives/drive/driving} to the %D|{drives/drive/driving}|{drives/drive/driving} %D|{is/are/} driving to the %D",
         "向%D行驶|行驶|开向%D边|往%D开"},
    [ZM_ACT_HOP] =
        {"{hops/hop/hopping}|{jumps/jump/jumping}|{hops/hop/hopping} up and down|{jumps/jump/jumping} up and down",
         "跳跃|蹦蹦跳跳|跳来跳去|上下蹦跳"},
    [ZM_ACT_RISE] =
        {"{rises/rise/rising}|{floats/float/floating} up|{rises/rise/rising} into the air|{floats/float/floating} into the sky",
         "升起来|飘起来|慢慢升向天空|飘向空中"},
    [ZM_ACT_COLLIDE] =
        {"{knocks/knock/knocking} %o %a|{crashes/crash/crashing} into %o|{runs/run/running} into %o and {knocks/knock/knocking} %t away|"
         "{hits/hit/hitting} %o|{bumps/bump/bumping} into %o|{smashes/smash/smashing} into %o",
         "撞开%o|撞上%o|把%o撞开|撞飞%o|冲过来撞开%o"},
    [ZM_ACT_PUSH] =
        {"{pushes/push/pushing} %o to the %D|{pushes/push/pushing} %o|{shoves/shove/shoving} %o to the %D|{pushes/push/pushing} %o %D",
         "推着%o向%D走|推着%o|把%o推向%D边|把%o往%D推"},
    [ZM_ACT_TOPPLE] = {"{knocks/knock/knocking} over a stack of %o|{topples/topple/toppling} a tower of %o|"
                       "{crashes/crash/crashing} into a stack of %o|{knocks/knock/knocking} down a pile of %o",
                       "撞倒叠起来的%o|把叠在一起的%o撞倒|撞翻一摞%o|撞塌%o叠成的塔"},
    [ZM_ACT_RAMP] =
        {"{rolls/roll/rolling} down a ramp|{rolls/roll/rolling} down a ramp to the %D|{rolls/roll/rolling} down a slope|{goes/go/going} down a ramp",
         "滚下斜坡|从斜坡上滚下来|沿着斜坡向%D滚|滚下坡道"},
    [ZM_ACT_BEHIND] =
        {"{passes/pass/passing} behind a wall|{moves/move/moving} behind a brick wall|{passes/pass/passing} behind a wall to the %D|"
         "{disappears/disappear/disappearing} behind a wall and {comes/come/coming} out again",
         "从墙后经过|从一堵墙后面穿过|躲到墙后又出来|向%D经过一堵砖墙后面"},
};

static const char *const hop_along[ZM_LANG_COUNT] = {
    "{hops/hop/hopping} to the %D|{jumps/jump/jumping} to the %D|{hops/hop/hopping} along|{hops/hop/hopping}|{jumps/jump/jumping} %D",
    "向%D跳|蹦蹦跳跳地向%D走|往%D蹦|跳跃|跳向%D边"};

const char *zm_phrase_action(const zm_group *g, zm_lang lang)
{
    ZM_ASSERT(g->action >= 0 && g->action < ZM_ACT_COUNT);
    if (g->action == ZM_ACT_HOP && g->direction != 0)
        return hop_along[lang];
    return action_phrase[g->action][lang];
}

static const char *const place_phrase[GROUND_COUNT][ZM_LANG_COUNT] = {
    [GROUND_GRASS] = {"on the grass|on a green lawn|in a meadow|on grass", "草地上|绿草地上|草坪上"},
    [GROUND_WOOD] = {"on the wooden floor|on a wood floor|on wooden planks", "木地板上|木板上"},
    [GROUND_SNOW] = {"on the snow|in the snow|on white snow", "雪地上|雪地里|白雪上"},
    [GROUND_TILES] = {"on the tiles|on a tiled floor|on a checkered floor", "瓷砖上|瓷砖地板上|格子地板上"},
    [GROUND_SAND] = {"on the sand|on a sandy beach|at the beach", "沙滩上|沙地上"},
    [GROUND_ICE] = {"on the ice|on a frozen lake", "冰面上|结冰的湖面上"},
};
static const char *const goal_phrase[GROUND_COUNT][ZM_LANG_COUNT] = {
    [GROUND_GRASS] = {"onto the grass|onto a lawn", "草地上|草坪上"},
    [GROUND_WOOD] = {"onto the wooden floor|onto wooden planks", "木地板上|木板上"},
    [GROUND_SNOW] = {"onto the snow|into the snow", "雪地上|雪地里"},
    [GROUND_TILES] = {"onto the tiles|onto a checkered floor", "瓷砖上|格子地板上"},
    [GROUND_SAND] = {"onto the sand|onto a sandy beach", "沙滩上|沙地上"},
    [GROUND_ICE] = {"onto the ice|onto a frozen lake", "冰面上|结冰的湖面上"},
};
static const char *const light_phrase[ZM_LIGHT_COUNT][ZM_LANG_COUNT] = {
    [ZM_LIGHT_DAY] = {"on a sunny day|in daylight|under a blue sky|in the sunshine|by day", "白天|晴天|蓝天下|阳光下"},
    [ZM_LIGHT_SUNSET] = {"at sunset|at dusk|in the evening light|as the sun sets", "日落时|黄昏时|傍晚|夕阳下"},
    [ZM_LIGHT_NIGHT] = {"at night|under the moon|in the moonlight|on a dark night|under the stars",
                        "夜里|夜晚|晚上|月光下|星空下"},
    [ZM_LIGHT_OVERCAST] = {"on a cloudy day|under a grey sky|on an overcast day|under grey clouds",
                           "阴天|多云的天气里|灰色的天空下"},
};
static const char *const camera_phrase[ZM_CAM_COUNT][ZM_LANG_COUNT] = {
    [ZM_CAM_STATIC] = {"the camera stays still|static camera|fixed camera", "镜头静止|镜头不动|固定镜头"},
    [ZM_CAM_PAN_LEFT] = {"the camera pans left|the camera moves to the left|camera pan left", "镜头向左平移|镜头左移"},
    [ZM_CAM_PAN_RIGHT] = {"the camera pans right|the camera moves to the right|camera pan right",
                          "镜头向右平移|镜头右移"},
    [ZM_CAM_ZOOM_IN] = {"the camera zooms in|the camera moves closer|zooming in", "镜头推近|镜头慢慢拉近"},
    [ZM_CAM_ZOOM_OUT] = {"the camera zooms out|the camera moves away|zooming out", "镜头拉远|镜头慢慢后退"},
};
static const char *const turning_phrase[ZM_LIGHT_COUNT][ZM_LANG_COUNT] = {
    [ZM_LIGHT_DAY] = {"while the sky clears and day comes", "天渐渐晴朗起来"},
    [ZM_LIGHT_SUNSET] = {"while day turns to sunset", "天色渐渐变成黄昏"},
    [ZM_LIGHT_NIGHT] = {"while sunset turns to night", "天色渐渐变成夜晚"},
    [ZM_LIGHT_OVERCAST] = {"while night turns to a grey day", "天渐渐亮成阴天"},
};

const char *zm_phrase_place(int ground, zm_lang lang)
{
    ZM_ASSERT(ground >= 0 && ground < GROUND_COUNT);
    return place_phrase[ground][lang];
}

const char *zm_phrase_goal(int ground, zm_lang lang)
{
    ZM_ASSERT(ground >= 0 && ground < GROUND_COUNT);
    return goal_phrase[ground][lang];
}

const char *zm_phrase_light(int light, zm_lang lang)
{
    ZM_ASSERT(light >= 0 && light < ZM_LIGHT_COUNT);
    return light_phrase[light][lang];
}

const char *zm_phrase_camera(int camera, zm_lang lang)
{
    ZM_ASSERT(camera >= 0 && camera < ZM_CAM_COUNT);
    return camera_phrase[camera][lang];
}

const char *zm_phrase_turning(int to, zm_lang lang)
{
    return to >= 0 && to < ZM_LIGHT_COUNT ? turning_phrase[to][lang] : NULL;
}
