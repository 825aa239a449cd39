/*
 * Runs a loaded network once as facematchd would, on pictures made here, and judges what it says. Threads:
 * pure.
 */
#ifndef FM_CLI_TRIAL_H
#define FM_CLI_TRIAL_H

#include "lib/face/model.h"

#define FM_TRIAL_WORDS_MAX 160

/*
 * ret_words gets what was seen to be right. FM_E_INVALID says what the network does that no network in its
 * role does; FM_E_NOMEM.
 */
enum fm_status fm_trial_run(
        const struct fm_model *model, char ret_words[FM_TRIAL_WORDS_MAX], struct fm_error *err);

#endif
