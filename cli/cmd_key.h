/* What `key create`, `key list` and `key revoke` share. */
#ifndef FM_CLI_CMD_KEY_H
#define FM_CLI_CMD_KEY_H

#include "cli/cli.h"

#define FM_OPTION_KEYS_FILE_ROW(target)                                                                      \
	{                                                                                                    \
		"file", FM_OPTION_TEXT, target, "FILE",                                                      \
		        "the file of keys (default: keys in $STATE_DIRECTORY, else in /var/lib/facematchd)"  \
	}

/* The given file, or the default one; free() it. NULL has been told on stderr. */
char *fm_keys_file(const char *given);

#endif
