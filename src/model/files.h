/* Where the parts of a model lie when no config names them: files of any name, told apart by their tensors.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_FILES_H
#define ZM_MODEL_FILES_H

#include "model/models.h"

/* Paths that the user names go into the config before anything is looked for.  ZM_E_MISSING names one that is not
 * there; ZM_E_NOMEM. */
ZM_MUST zm_status zm_model_files_take(zm_model_config *c, const zm_model_files *told, zm_error *err);

/* A transformer whose file name says high or low noise is one of two experts: the other is the file whose name says
 * the opposite.  Of a low one, the paths are exchanged.  ZM_E_MISSING: the other one is not there; ZM_E_NOMEM. */
ZM_MUST zm_status zm_model_files_expert(zm_model_config *c, zm_error *err);

/* Look through the weight files of `dir`.  Without c->dit_path: for the transformer alone.  With it, c->dit is known, and
 * every other part that has no path yet is looked for: a text encoder as wide as the transformer's text, an autoencoder
 * of as many latent channels, an image encoder if pictures' features are taken, a tokenizer.  In a folder called as
 * ComfyUI calls it, the folders beside it are looked through, too.  What is nowhere stays NULL.
 * ZM_E_FORMAT: two files that could be the same part, both named; ZM_E_IO; ZM_E_NOMEM. */
ZM_MUST zm_status zm_model_files_scan(zm_model_config *c, const char *dir, zm_error *err);

#endif
