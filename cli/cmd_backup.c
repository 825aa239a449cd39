/* facematchctl backup: a copy of a running daemon's gallery. */
#include "cli/remote.h"
#include "lib/base/cleanup.h"

#include <stdio.h>
#include <sys/stat.h>

#include "lib/base/banned.h"

FM_DEFINE_CLEANUP(struct fm_remote *, fm_remote_free);

static int run(struct fm_call *call)
{
	struct fm_remote_options options = {.url = FM_REMOTE_URL};
	const struct fm_option rows[] = {FM_REMOTE_OPTION_ROWS(&options)};
	fm_cleanup(fm_remote_freep) struct fm_remote *remote = NULL;
	fm_cleanup(fm_remote_reply_done) struct fm_remote_reply reply = {0};
	struct fm_error err;
	struct stat written;
	int exit_code;

	if (!fm_options_parse(call, rows, sizeof(rows) / sizeof(rows[0]), 1, 1, &exit_code))
		return exit_code;
	const struct fm_remote_request request = {
	        .method = "POST",
	        .path = "/v1/admin/backup",
	        .body = "",
	        .output = call->operands[0],
	};
	if (fm_remote_create(&options, &remote, &err) || fm_remote_expect(remote, &request, &reply, &err)) {
		fm_complain("%s", err.message);
		return FM_EXIT_FAILURE;
	}
	if (stat(call->operands[0], &written) == 0)
		printf("%s: %lld bytes\n", call->operands[0], (long long)written.st_size);
	return FM_EXIT_OK;
}

const struct fm_command fm_cmd_backup = {
        .name = "backup",
        .operands = "FILE",
        .summary = "copy the gallery while the daemon serves",
        .description =
                "Asks a running facematchd for a consistent copy of its gallery and writes it to FILE, "
                "which\n"
                "must not exist, readable by its owner alone. The copy is a whole gallery: to restore it, "
                "stop\n"
                "the daemon, put it in the gallery's place, remove the files beside it whose names go on "
                "with\n"
                "-wal and -shm, and start. It holds what was enrolled at its moment, people deleted later\n"
                "included: delete old copies.",
        .example = "  facematchctl backup /backup/gallery-$(date +%F).db --key-file /root/admin.key",
        .run = run,
};
