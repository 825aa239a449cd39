/*
 * What every subcommand of facematchctl shares: its row in main.c's table, its options, its words to stderr.
 *
 * To add a subcommand: cli/cmd_NAME.c with one `const struct fm_command fm_cmd_NAME`, declared here, a row in
 * main.c, a section in docs/man/facematchctl.1.
 */
#ifndef FM_CLI_CLI_H
#define FM_CLI_CLI_H

#include "lib/base/status.h"
#include "lib/nn/net.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum fm_exit { FM_EXIT_OK = 0, FM_EXIT_FAILURE = 1, FM_EXIT_USAGE = 2 };

struct fm_call;

struct fm_command {
	const char *name;        /* as typed, one or two words: "embed", "model run" */
	const char *operands;    /* "FILE…", for the usage line */
	const char *summary;     /* one line, for the list */
	const char *description; /* paragraphs, for --help */
	const char *example;     /* lines, for --help */
	int (*run)(struct fm_call *call);
};

extern const struct fm_command fm_cmd_embed;
extern const struct fm_command fm_cmd_eval;
extern const struct fm_command fm_cmd_calibrate;
extern const struct fm_command fm_cmd_bench_net;
extern const struct fm_command fm_cmd_bench_photo;
extern const struct fm_command fm_cmd_bench_search;
extern const struct fm_command fm_cmd_import;
extern const struct fm_command fm_cmd_export;
extern const struct fm_command fm_cmd_backup;
extern const struct fm_command fm_cmd_reembed;
extern const struct fm_command fm_cmd_check;
extern const struct fm_command fm_cmd_key_create;
extern const struct fm_command fm_cmd_key_list;
extern const struct fm_command fm_cmd_key_revoke;
extern const struct fm_command fm_cmd_model_run;
extern const struct fm_command fm_cmd_model_inspect;
extern const struct fm_command fm_cmd_model_check;
extern const struct fm_command fm_cmd_model_quantize;

/* One invocation. argv[0] is the command's last word; fm_options_parse sets the operands. */
struct fm_call {
	const struct fm_command *command;
	const char *models_dir; /* --models before the subcommand, or NULL */
	int argc;
	char **argv;
	char **operands;
	size_t operand_count;
};

enum fm_option_kind {
	FM_OPTION_FLAG,       /* bool */
	FM_OPTION_TEXT,       /* const char *; not empty */
	FM_OPTION_COUNT,      /* long, within low..high */
	FM_OPTION_SECONDS,    /* double, within low..high */
	FM_OPTION_PRECISION,  /* enum fm_precision */
	FM_OPTION_PRECISIONS, /* unsigned: bits 1 << enum fm_precision; "both" sets both */
	FM_OPTION_SIZE,       /* struct fm_size_px, from WIDTHxHEIGHT */
};

/* Zero when not given, as struct fm_net_options takes it. */
struct fm_size_px {
	size_t width, height;
};
#define FM_SIZE_PX_MAX 65535

struct fm_option {
	const char *name; /* without the dashes */
	enum fm_option_kind kind;
	void *target; /* holds the default before, the value after */
	const char *metavar, *help;
	bool required;
	double low, high;
};

#define FM_OPTION_MODELS_ROW(target)                                                                         \
	{                                                                                                    \
		"models", FM_OPTION_TEXT, target, "DIR",                                                     \
		        "the networks' directory (default: as facematchd finds it)"                          \
	}
#define FM_OPTION_PRECISION_ROW(target)                                                                      \
	{                                                                                                    \
		"precision", FM_OPTION_PRECISION, target, "float32|int8",                                    \
		        "arithmetic of the network (default: int8)"                                          \
	}

#define FM_OPTION_SIZE_ROW(target)                                                                           \
	{                                                                                                    \
		"size", FM_OPTION_SIZE, target, "WxH",                                                       \
		        "width and height of the input, where the file leaves them open"                     \
	}

/*
 * Reads call->argv, options and operands in any order ("--" ends the options), into the options' targets and
 * call->operands. False: the command ends with *ret_exit, because --help was asked for and answered, or
 * because of a usage error that has been told on stderr.
 */
bool fm_options_parse(struct fm_call *call, const struct fm_option *options, size_t option_count,
        size_t operands_min, size_t operands_max, int *ret_exit);

/* Tells on stderr what is wrong with the call, and where help is. Returns FM_EXIT_USAGE. */
int fm_usage_error(const struct fm_command *command, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* "facematchctl: …" and a line end on stderr, control characters replaced. */
void fm_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replaces control characters, so that a name out of a file cannot steer the terminal. Returns text. */
char *fm_printable(char *text);

#endif
