/* The one table of named things: drawing, behaviour, size, names in both languages.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_THINGS_H
#define ZM_WORLD_THINGS_H

/* How a thing behaves. */
typedef enum {
    KIND_BALL,    /* rolls and bounces */
    KIND_CUBE,    /* slides and topples */
    KIND_CAN,     /* an upright cylinder: slides and topples */
    KIND_ANIMAL,  /* stays upright, hops */
    KIND_VEHICLE, /* stays upright, drives */
    KIND_FRUIT,   /* rolls, hardly bounces */
    KIND_BALLOON, /* rises */
    KIND_PARCEL   /* a thing with a flat bottom: slides */
} zm_kind;

/* icon in fluent-emoji, kind, larger side in metres, English names, Chinese names (first = canonical), measure word.
 * The first ZM_THINGS_CORE rows are the core grammar (level 0). */
#define ZM_THINGS_CORE 16
#define ZM_THING_TABLE(X)                                                                                              \
    X("panda", KIND_ANIMAL, 1.35f, "panda|panda bear", "熊猫|大熊猫|小熊猫", "只")                                     \
    X("cat-face", KIND_ANIMAL, 1.30f, "cat|kitten|yellow cat", "猫|小猫|猫咪", "只")                                   \
    X("dog-face", KIND_ANIMAL, 1.30f, "dog|puppy|brown dog", "狗|小狗|狗狗", "只")                                     \
    X("frog", KIND_ANIMAL, 1.30f, "frog|green frog", "青蛙|小青蛙", "只")                                              \
    X("penguin", KIND_ANIMAL, 1.40f, "penguin|little penguin", "企鹅|小企鹅", "只")                                    \
    X("rabbit-face", KIND_ANIMAL, 1.40f, "rabbit|bunny|white rabbit", "兔子|小兔子|白兔", "只")                        \
    X("pig-face", KIND_ANIMAL, 1.30f, "pig|pink pig|piglet", "猪|小猪|粉色的小猪", "只")                               \
    X("duck", KIND_ANIMAL, 1.35f, "duck", "鸭子|小鸭子", "只")                                                         \
    X("automobile", KIND_VEHICLE, 1.55f, "car|red car|toy car", "汽车|小汽车|红色汽车", "辆")                          \
    X("bus", KIND_VEHICLE, 1.60f, "bus|yellow bus", "公交车|巴士|公共汽车", "辆")                                      \
    X("red-apple", KIND_FRUIT, 1.25f, "apple|red apple", "苹果|红苹果", "个")                                          \
    X("tangerine", KIND_FRUIT, 1.25f, "orange|tangerine", "橙子|橘子", "个")                                           \
    X("basketball", KIND_BALL, 1.25f, "basketball", "篮球", "个")                                                      \
    X("soccer-ball", KIND_BALL, 1.25f, "soccer ball|football", "足球", "个")                                           \
    X("balloon", KIND_BALLOON, 1.70f, "balloon|red balloon", "气球|红气球", "个")                                      \
    X("wrapped-gift", KIND_PARCEL, 1.30f, "gift|present|gift box", "礼物|礼盒|礼物盒", "个")                           \
    X("bear", KIND_ANIMAL, 1.35f, "bear|brown bear", "熊|棕熊|小熊", "只")                                             \
    X("fox", KIND_ANIMAL, 1.35f, "fox|orange fox", "狐狸|小狐狸", "只")                                                \
    X("tiger-face", KIND_ANIMAL, 1.35f, "tiger", "老虎|小老虎", "只")                                                  \
    X("lion", KIND_ANIMAL, 1.35f, "lion", "狮子|小狮子", "只")                                                         \
    X("koala", KIND_ANIMAL, 1.35f, "koala|grey koala", "考拉|树袋熊", "只")                                            \
    X("monkey-face", KIND_ANIMAL, 1.35f, "monkey", "猴子|小猴子", "只")                                                \
    X("cow-face", KIND_ANIMAL, 1.35f, "cow", "奶牛|牛", "头")                                                          \
    X("mouse-face", KIND_ANIMAL, 1.35f, "mouse|grey mouse", "老鼠|小老鼠", "只")                                       \
    X("front-facing-baby-chick", KIND_ANIMAL, 1.30f, "chick|baby chick|yellow chick", "小鸡|黄色的小鸡", "只")         \
    X("owl", KIND_ANIMAL, 1.35f, "owl", "猫头鹰", "只")                                                                \
    X("elephant", KIND_ANIMAL, 1.45f, "elephant", "大象|小象", "头")                                                   \
    X("turtle", KIND_ANIMAL, 1.45f, "turtle|green turtle", "乌龟|小乌龟", "只")                                        \
    X("hedgehog", KIND_ANIMAL, 1.40f, "hedgehog", "刺猬|小刺猬", "只")                                                 \
    X("octopus", KIND_ANIMAL, 1.35f, "octopus", "章鱼", "只")                                                          \
    X("t-rex", KIND_ANIMAL, 1.55f, "dinosaur|green dinosaur", "恐龙|小恐龙", "只")                                     \
    X("robot", KIND_ANIMAL, 1.35f, "robot|toy robot", "机器人|玩具机器人", "个")                                       \
    X("teddy-bear", KIND_ANIMAL, 1.40f, "teddy bear|teddy", "泰迪熊|玩具熊", "只")                                     \
    X("snowman-without-snow", KIND_ANIMAL, 1.50f, "snowman", "雪人", "个")                                             \
    X("taxi", KIND_VEHICLE, 1.55f, "taxi|yellow taxi", "出租车|黄色出租车", "辆")                                      \
    X("fire-engine", KIND_VEHICLE, 1.60f, "fire engine|fire truck", "消防车", "辆")                                    \
    X("tractor", KIND_VEHICLE, 1.55f, "tractor|green tractor", "拖拉机|绿色拖拉机", "辆")                              \
    X("locomotive", KIND_VEHICLE, 1.55f, "train|locomotive|steam engine", "火车|火车头|蒸汽机车", "辆")                \
    X("strawberry", KIND_FRUIT, 1.25f, "strawberry", "草莓", "个")                                                     \
    X("lemon", KIND_FRUIT, 1.25f, "lemon", "柠檬", "个")                                                               \
    X("tomato", KIND_FRUIT, 1.20f, "tomato", "番茄|西红柿", "个")                                                      \
    X("volleyball", KIND_BALL, 1.25f, "volleyball", "排球", "个")                                                      \
    X("baseball", KIND_BALL, 1.20f, "baseball", "棒球", "个")                                                          \
    X("jack-o-lantern", KIND_FRUIT, 1.35f, "pumpkin|jack-o'-lantern", "南瓜|南瓜灯", "个")                             \
    X("doughnut", KIND_BALL, 1.25f, "doughnut|donut", "甜甜圈", "个")                                                  \
    X("horse-face", KIND_ANIMAL, 1.35f, "horse|brown horse", "马|小马", "匹")                                          \
    X("snail", KIND_ANIMAL, 1.35f, "snail", "蜗牛|小蜗牛", "只")                                                       \
    X("hamster", KIND_ANIMAL, 1.35f, "hamster", "仓鼠|小仓鼠", "只")                                                   \
    X("spouting-whale", KIND_ANIMAL, 1.50f, "whale|blue whale", "鲸鱼|蓝鲸", "头")                                     \
    X("ambulance", KIND_VEHICLE, 1.60f, "ambulance", "救护车", "辆")                                                   \
    X("delivery-truck", KIND_VEHICLE, 1.60f, "truck|delivery truck", "卡车|货车", "辆")                                \
    X("pear", KIND_FRUIT, 1.25f, "pear|green pear", "梨", "个")                                                        \
    X("pool-8-ball", KIND_BALL, 1.20f, "billiard ball|eight ball", "台球|黑八", "个")

#endif
