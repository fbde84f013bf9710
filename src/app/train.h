/* zouma train.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_TRAIN_H
#define ZM_APP_TRAIN_H

int zm_cmd_train(int argc, char **argv);

#endif
