/* Every handler of routes.c; each resource has its file. fm_handler in daemon/router.h says what they do. */
#ifndef FM_DAEMON_HANDLERS_HANDLERS_H
#define FM_DAEMON_HANDLERS_HANDLERS_H

#include "daemon/router.h"

/* health.c */
enum fm_problem fm_handle_healthz(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_readyz(struct fm_exchange *exchange, struct fm_error *err);
/* info.c */
enum fm_problem fm_handle_info(struct fm_exchange *exchange, struct fm_error *err);
/* metrics.c */
enum fm_problem fm_handle_metrics(struct fm_exchange *exchange, struct fm_error *err);
/* files.c */
enum fm_problem fm_handle_openapi(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_console(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_console_js(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_console_css(struct fm_exchange *exchange, struct fm_error *err);
/* detect.c */
enum fm_problem fm_handle_detect(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_embed(struct fm_exchange *exchange, struct fm_error *err);
/* verify.c */
enum fm_problem fm_handle_verify(struct fm_exchange *exchange, struct fm_error *err);
/* identify.c */
enum fm_problem fm_handle_identify(struct fm_exchange *exchange, struct fm_error *err);
/* people.c */
enum fm_problem fm_handle_people_create(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_people_list(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_person_get(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_person_update(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_person_delete(struct fm_exchange *exchange, struct fm_error *err);
/* faces.c */
enum fm_problem fm_handle_faces_list(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_face_get(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_face_delete(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_face_crop(struct fm_exchange *exchange, struct fm_error *err);
/* enroll.c */
enum fm_problem fm_handle_face_add(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_enroll(struct fm_exchange *exchange, struct fm_error *err);
/* collections.c */
enum fm_problem fm_handle_collections_list(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_collection_create(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_collection_update(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_collection_get(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_collection_delete(struct fm_exchange *exchange, struct fm_error *err);
/* archive.c */
enum fm_problem fm_handle_export(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_import(struct fm_exchange *exchange, struct fm_error *err);
/* admin.c */
enum fm_problem fm_handle_backup(struct fm_exchange *exchange, struct fm_error *err);

/* jobs.c */
enum fm_problem fm_handle_reembed(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_forget_previous(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_rollback(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_jobs_list(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_job_get(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_job_cancel(struct fm_exchange *exchange, struct fm_error *err);
enum fm_problem fm_handle_job_skipped(struct fm_exchange *exchange, struct fm_error *err);

/* audit.c */
enum fm_problem fm_handle_audit_list(struct fm_exchange *exchange, struct fm_error *err);

#endif
