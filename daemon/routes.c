/* The table of docs/API.md. */
#include "daemon/handlers/handlers.h"
#include "daemon/router.h"
#include "lib/base/size.h"

#include "lib/base/banned.h"

#define INLINE FM_ROUTE_INLINE
#define PHOTO  FM_ROUTE_PHOTO

/* clang-format off */
const struct fm_route fm_routes[] = {
	{"GET",    "/healthz",              fm_handle_healthz, INLINE | FM_ROUTE_ANYTIME},
	{"GET",    "/readyz",               fm_handle_readyz,  INLINE},
	{"GET",    "/v1/info",              fm_handle_info,    INLINE},
	{"GET",    "/metrics",              fm_handle_metrics, INLINE},
	{"GET",    "/openapi.json",         fm_handle_openapi, INLINE | FM_ROUTE_ANYTIME},

	{"POST",   "/v1/detect",            fm_handle_detect,   PHOTO},
	{"POST",   "/v1/embed",             fm_handle_embed,    PHOTO},
	{"POST",   "/v1/verify",            fm_handle_verify,   PHOTO},
	{"POST",   "/v1/identify",          fm_handle_identify, PHOTO},

	{"POST",   "/v1/people",            fm_handle_people_create, 0},
	{"GET",    "/v1/people",            fm_handle_people_list,   0},
	{"GET",    "/v1/people/{}",         fm_handle_person_get,    0},
	{"PATCH",  "/v1/people/{}",         fm_handle_person_update, 0},
	{"DELETE", "/v1/people/{}",         fm_handle_person_delete, 0},
	{"POST",   "/v1/people/{}/faces",   fm_handle_face_add,      PHOTO},
	{"GET",    "/v1/people/{}/faces",   fm_handle_faces_list,    0},
	{"DELETE", "/v1/faces/{}",          fm_handle_face_delete,   0},
	{"GET",    "/v1/faces/{}/crop",     fm_handle_face_crop,     INLINE},
	{"POST",   "/v1/enroll",            fm_handle_enroll,        PHOTO},

	{"GET",    "/v1/collections",       fm_handle_collections_list,  0},
	{"POST",   "/v1/collections",       fm_handle_collection_create, 0},
	{"GET",    "/v1/collections/{}",    fm_handle_collection_get,    0},
	{"DELETE", "/v1/collections/{}",    fm_handle_collection_delete, 0},
};
/* clang-format on */
const size_t fm_route_count = FM_ARRAY_SIZE(fm_routes);
