/* facematchctl: finds the subcommand in the table and runs it. Exit: 0 done, 1 failed, 2 called wrongly. */
#include "cli/cli.h"

#include "lib/base/size.h"
#include "lib/cpu/cpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

static const struct fm_command *const commands[] = {
        &fm_cmd_embed,
        &fm_cmd_eval,
        &fm_cmd_calibrate,
        &fm_cmd_bench_net,
        &fm_cmd_bench_photo,
        &fm_cmd_bench_search,
        &fm_cmd_import,
        &fm_cmd_export,
        &fm_cmd_backup,
        &fm_cmd_reembed,
        &fm_cmd_check,
        &fm_cmd_key_create,
        &fm_cmd_key_list,
        &fm_cmd_key_revoke,
        &fm_cmd_model_run,
        &fm_cmd_model_inspect,
        &fm_cmd_model_check,
        &fm_cmd_model_quantize,
};

/* Lists the subcommands; with a group ("model") only its own. */
static void print_help(FILE *out, const char *group)
{
	size_t length = group ? strlen(group) : 0;
	const char *sample = "COMMAND";

	fprintf(out, "Usage: facematchctl [--models DIR] %s%sCOMMAND [OPTION]… [ARGUMENT]…\n\n",
	        group ? group : "", group ? " " : "");
	if (!group)
		fprintf(out, "Works on face networks and photos without the daemon.\n\n");
	fprintf(out, "Commands:\n");
	for (size_t i = 0; i < FM_ARRAY_SIZE(commands); i++) {
		const char *name = commands[i]->name;
		if (group && (strncmp(name, group, length) != 0 || name[length] != ' '))
			continue;
		fprintf(out, "  %-14s %s\n", name, commands[i]->summary);
		sample = group ? name : sample;
	}
	fprintf(out, "\nEvery command explains itself: facematchctl %s --help\n", sample);
	if (!group)
		fprintf(out, "Also: --help, --version\n");
}

/* Whether argv spells the command's name; *ret_words is how many arguments that took. */
static bool spells(const char *name, int argc, char **argv, int *ret_words)
{
	const char *second = strchr(name, ' ');
	size_t length = second ? (size_t)(second - name) : strlen(name);

	if (strlen(argv[0]) != length || strncmp(argv[0], name, length) != 0)
		return false;
	*ret_words = second ? 2 : 1;
	return !second || (argc > 1 && strcmp(argv[1], second + 1) == 0);
}

static bool is_group(const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < FM_ARRAY_SIZE(commands); i++)
		if (strncmp(commands[i]->name, word, length) == 0 && commands[i]->name[length] == ' ')
			return true;
	return false;
}

static int run_command(const char *models_dir, int argc, char **argv)
{
	for (size_t i = 0; i < FM_ARRAY_SIZE(commands); i++) {
		int words;
		if (!spells(commands[i]->name, argc, argv, &words))
			continue;
		struct fm_call call = {.command = commands[i],
		        .models_dir = models_dir,
		        .argc = argc - words + 1,
		        .argv = argv + words - 1};
		return commands[i]->run(&call);
	}
	if (!is_group(argv[0])) {
		fm_complain("there is no command '%s'; see facematchctl --help", argv[0]);
		return FM_EXIT_USAGE;
	}
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		print_help(stdout, argv[0]);
		return FM_EXIT_OK;
	}
	if (argc > 1)
		fm_complain(
		        "there is no command '%s %s'; see facematchctl %s --help", argv[0], argv[1], argv[0]);
	else
		print_help(stderr, argv[0]);
	return FM_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *models_dir = NULL;
	struct fm_error err;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(stdout, NULL);
			return FM_EXIT_OK;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("facematchctl %s\n", FM_VERSION);
			return FM_EXIT_OK;
		}
		if (strcmp(argv[i], "--models") == 0 && i + 1 < argc) {
			models_dir = argv[++i];
		} else if (strncmp(argv[i], "--models=", 9) == 0) {
			models_dir = argv[i] + 9;
		} else {
			fm_complain("'%s' is no option here or lacks its value; see facematchctl --help",
			        argv[i]);
			return FM_EXIT_USAGE;
		}
	}
	if (i == argc) {
		print_help(stderr, NULL);
		return FM_EXIT_USAGE;
	}
	if (fm_isa_check_environment(&err) < 0) {
		fm_complain("%s", err.message);
		return FM_EXIT_USAGE;
	}

	int status = run_command(models_dir, argc - i, argv + i);

	/* A full disk behind a redirected stdout shows only here. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fm_complain("cannot write standard output: %s", strerror(errno));
		return FM_EXIT_FAILURE;
	}
	return status;
}
