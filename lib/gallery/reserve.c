#include "lib/gallery/reserve.h"

#include "lib/base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

enum fm_status fm_reserve_open(struct fm_reserve *reserve, const char *gallery_path, struct fm_error *err)
{
	if (asprintf(&reserve->path, "%s-reserve", gallery_path) < 0) {
		reserve->path = NULL;
		return fm_fail(err, FM_E_NOMEM, "%s: no memory", gallery_path);
	}
	fm_reserve_take(reserve);
	return FM_OK;
}

void fm_reserve_close(struct fm_reserve *reserve)
{
	free(reserve->path);
	memset(reserve, 0, sizeof(*reserve));
}

void fm_reserve_take(struct fm_reserve *reserve)
{
	if (reserve->held)
		return;
	fm_autoclose int fd = open(reserve->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	reserve->held = fd >= 0 && posix_fallocate(fd, 0, FM_RESERVE_BYTES) == 0;
	/* A part of it would only be in the way of those who could use it. */
	if (fd >= 0 && !reserve->held)
		unlink(reserve->path);
}

bool fm_reserve_give_up(struct fm_reserve *reserve)
{
	if (!reserve->held)
		return false;
	reserve->held = false;
	return unlink(reserve->path) == 0;
}
