/*
 * Changes of people and faces: the gallery first, since it is the truth, then the index, under one lock, so
 * that both always hold the same faces. FM_OK means on disk and found by the next search. Threads: safe.
 */
#ifndef FM_DAEMON_PEOPLE_H
#define FM_DAEMON_PEOPLE_H

#include "daemon/app.h"

/*
 * Errors of all: those of the gallery's function of the same purpose; FM_E_NOMEM from the index, after which
 * the face is not enrolled (a person who was created for it stays, without faces).
 */
enum fm_status fm_people_add_face(struct fm_app *app, int64_t person_key, const struct fm_face_insert *insert,
        struct fm_face_record *ret_face, bool *ret_existed, struct fm_error *err);
enum fm_status fm_people_enroll_by_name(struct fm_app *app, int64_t collection_key, const char *name,
        const struct fm_face_insert *insert, struct fm_person *ret_person, struct fm_face_record *ret_face,
        bool *ret_existed, struct fm_error *err);

enum fm_status fm_people_delete_face(
        struct fm_app *app, int64_t collection_key, const char *id, struct fm_error *err);
enum fm_status fm_people_delete_person(
        struct fm_app *app, int64_t collection_key, const char *id, struct fm_error *err);
enum fm_status fm_people_delete_collection(struct fm_app *app, const char *name, struct fm_error *err);

#endif
