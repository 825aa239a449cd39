/* The table of docs/API.md. */
#include "daemon/handlers/handlers.h"
#include "daemon/router.h"
#include "lib/base/size.h"

#include "lib/base/banned.h"

#define INLINE           FM_ROUTE_INLINE
#define PHOTO            FM_ROUTE_PHOTO
#define NO_COLLECTION    FM_ROUTE_NO_COLLECTION
#define NAMES_COLLECTION FM_ROUTE_NAMES_COLLECTION
#define ENROLLS          FM_ROUTE_ENROLLS
#define ANYONE           FM_ROLE_ANYONE
#define IDENTIFY         FM_ROLE_IDENTIFY
#define ENROLL           FM_ROLE_ENROLL
#define ADMIN            FM_ROLE_ADMIN

/* clang-format off */
const struct fm_route fm_routes[] = {
	{"GET",    "/healthz",              fm_handle_healthz, INLINE | FM_ROUTE_ANYTIME, ANYONE},
	{"GET",    "/readyz",               fm_handle_readyz,  INLINE,                    ANYONE},
	{"GET",    "/v1/info",              fm_handle_info,    INLINE | NO_COLLECTION,    IDENTIFY},
	{"GET",    "/metrics",              fm_handle_metrics, INLINE | NO_COLLECTION,    IDENTIFY},
	{"GET",    "/openapi.json",         fm_handle_openapi, INLINE | FM_ROUTE_ANYTIME, ANYONE},
	{"GET",    "/",                     fm_handle_console, INLINE | FM_ROUTE_ANYTIME, ANYONE},
	{"GET",    "/console.js",           fm_handle_console_js,  INLINE | FM_ROUTE_ANYTIME, ANYONE},
	{"GET",    "/console.css",          fm_handle_console_css, INLINE | FM_ROUTE_ANYTIME, ANYONE},

	{"POST",   "/v1/detect",            fm_handle_detect,   PHOTO | NO_COLLECTION, IDENTIFY},
	{"POST",   "/v1/embed",             fm_handle_embed,    PHOTO | NO_COLLECTION, IDENTIFY},
	{"POST",   "/v1/verify",            fm_handle_verify,   PHOTO,                 IDENTIFY},
	{"POST",   "/v1/identify",          fm_handle_identify, PHOTO,                 IDENTIFY},

	{"POST",   "/v1/people",            fm_handle_people_create, 0,      ENROLL},
	{"GET",    "/v1/people",            fm_handle_people_list,   0,      ENROLL},
	{"GET",    "/v1/people/{}",         fm_handle_person_get,    0,      ENROLL},
	{"PATCH",  "/v1/people/{}",         fm_handle_person_update, 0,      ENROLL},
	{"DELETE", "/v1/people/{}",         fm_handle_person_delete, 0,      ENROLL},
	{"POST",   "/v1/people/{}/faces",   fm_handle_face_add,      PHOTO | ENROLLS, ENROLL},
	{"GET",    "/v1/people/{}/faces",   fm_handle_faces_list,    0,      ENROLL},
	{"GET",    "/v1/faces/{}",          fm_handle_face_get,      0,      ENROLL},
	{"DELETE", "/v1/faces/{}",          fm_handle_face_delete,   0,      ENROLL},
	{"GET",    "/v1/faces/{}/crop",     fm_handle_face_crop,     0,      ENROLL},
	{"POST",   "/v1/enroll",            fm_handle_enroll,        PHOTO | ENROLLS, ENROLL},

	{"GET",    "/v1/collections",       fm_handle_collections_list,  0,                ADMIN},
	{"POST",   "/v1/collections",       fm_handle_collection_create, 0,                ADMIN},
	{"GET",    "/v1/collections/{}",    fm_handle_collection_get,    NAMES_COLLECTION, ADMIN},
	{"PATCH",  "/v1/collections/{}",    fm_handle_collection_update, NAMES_COLLECTION, ADMIN},
	{"DELETE", "/v1/collections/{}",    fm_handle_collection_delete, NAMES_COLLECTION, ADMIN},
	{"GET",    "/v1/admin/audit",       fm_handle_audit_list,        0,                ADMIN},

	{"POST",   "/v1/admin/backup",      fm_handle_backup, 0, ADMIN},

	{"GET",    "/v1/admin/export",      fm_handle_export, 0,               ADMIN},
	{"POST",   "/v1/admin/import",      fm_handle_import, PHOTO | ENROLLS, ADMIN},
	{"POST",   "/v1/admin/reembed",     fm_handle_reembed,  0, ADMIN},
	{"POST",   "/v1/admin/rollback",    fm_handle_rollback, 0, ADMIN},
	{"POST",   "/v1/admin/forget-previous", fm_handle_forget_previous, 0, ADMIN},
	{"GET",    "/v1/admin/jobs",        fm_handle_jobs_list,  0, ADMIN},
	{"GET",    "/v1/admin/jobs/{}",     fm_handle_job_get,    0, ADMIN},
	{"DELETE", "/v1/admin/jobs/{}",     fm_handle_job_cancel, 0, ADMIN},
	{"GET",    "/v1/admin/jobs/{}/skipped", fm_handle_job_skipped, 0, ADMIN},
};
/* clang-format on */
const size_t fm_route_count = FM_ARRAY_SIZE(fm_routes);
