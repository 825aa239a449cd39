/* GET /healthz, GET /readyz */
#include "daemon/handlers/common.h"
#include "daemon/handlers/handlers.h"

#include "lib/base/banned.h"

enum fm_problem fm_handle_healthz(struct fm_exchange *exchange, struct fm_error *err)
{
	return fm_common_reply(exchange, 200, json_pack("{s:s}", "status", "ok"), err);
}

enum fm_problem fm_handle_readyz(struct fm_exchange *exchange, struct fm_error *err)
{
	return fm_common_reply(exchange, 200, json_pack("{s:s}", "status", "ready"), err);
}
