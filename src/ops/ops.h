/* All builders, and the table of ops that tests, help and backends walk.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_OPS_H
#define ZM_OPS_OPS_H

#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/conv.h"
#include "ops/layout.h"
#include "ops/lookup.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/unary.h"
#include "tensor/autodiff.h"

extern const zm_op *const zm_ops[]; /* NULL-terminated */
extern const zm_grad_ops zm_default_grad_ops;

#endif
