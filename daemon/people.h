/*
 * Keeps the index in step with the gallery. The gallery is the truth: a change is on disk first and in the
 * index before it is acknowledged, in the order of the commits, so that both always end with the same faces.
 */
#ifndef FM_DAEMON_PEOPLE_H
#define FM_DAEMON_PEOPLE_H

#include "daemon/app.h"

/* From now on every change of the gallery is made in the index too. Before anybody changes it. */
void fm_people_follow(struct fm_app *app);

#endif
