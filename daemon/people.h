/*
 * Keeps the index in step with the gallery. The gallery is the truth: a change is on disk first and in the
 * index before it is acknowledged, in the order of the commits, so that both always end with the same faces.
 * While the next serving is made (another embedding network), changes are made in its index too.
 * Threads: one makes the next serving; otherwise safe.
 */
#ifndef FM_DAEMON_PEOPLE_H
#define FM_DAEMON_PEOPLE_H

#include "daemon/serving.h"

struct fm_people;

/* From now on every change of the gallery is made in the index of the slot's current serving. Before anybody
 * changes the gallery; both outlive it. */
enum fm_status fm_people_create(struct fm_gallery *gallery, struct fm_serving_slot *slot,
        struct fm_people **ret_people, struct fm_error *err);
/* Nobody changes the gallery any more. */
void fm_people_free(struct fm_people *people);

/*
 * Fills `next`'s index and keeps it in step from then on; the caller goes on holding it until it is published
 * or abandoned. Errors: those of the gallery and the index; then it is abandoned already.
 */
enum fm_status fm_people_prepare(struct fm_people *people, struct fm_serving *next, struct fm_error *err);
/* Makes what was prepared current, taking the caller's hold. */
void fm_people_publish(struct fm_people *people);
void fm_people_abandon(struct fm_people *people);

#endif
