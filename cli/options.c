#include "cli/cli.h"

#include "lib/base/size.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

#define OPTIONS_MAX 16
#define HELP_VALUE  OPTIONS_MAX /* getopt's value for --help; the options' own are their indices */

static void print_help(const struct fm_command *command, const struct fm_option *options, size_t count)
{
	printf("Usage: facematchctl %s [OPTION]…%s%s\n\n%s\n\nOptions:\n", command->name,
	        *command->operands ? " " : "", command->operands, command->description);
	for (size_t i = 0; i < count; i++) {
		char left[48];
		snprintf(left, sizeof(left), "--%s%s%s", options[i].name, options[i].metavar ? " " : "",
		        options[i].metavar ? options[i].metavar : "");
		printf("  %-28s %s\n", left, options[i].help);
	}
	printf("  %-28s %s\n\nExample:\n%s\n", "--help", "this text", command->example);
}

int fm_usage_error(const struct fm_command *command, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fm_complain("%s: %s; see facematchctl %s --help", command->name, text, command->name);
	return FM_EXIT_USAGE;
}

/* One side; *ret_end is behind its last digit. False: no number from 1 to FM_SIZE_PX_MAX. */
static bool parse_side(const char *text, size_t *ret_side, const char **ret_end)
{
	char *end;
	const long side = strtol(text, &end, 10);

	if (!isdigit((unsigned char)*text) || side < 1 || side > FM_SIZE_PX_MAX)
		return false;
	*ret_side = (size_t)side;
	*ret_end = end;
	return true;
}

static bool parse_size(const char *text, struct fm_size_px *ret_size)
{
	struct fm_size_px size;
	const char *end;

	if (!parse_side(text, &size.width, &end) || *end != 'x' || !parse_side(end + 1, &size.height, &end) ||
	        *end)
		return false;
	*ret_size = size;
	return true;
}

/* Returns NULL, or what is wrong with the value. */
static const char *set_option(const struct fm_option *option, const char *value)
{
	struct fm_error err;
	char *end = NULL;

	errno = 0;
	switch (option->kind) {
	case FM_OPTION_FLAG: *(bool *)option->target = true; return NULL;
	case FM_OPTION_TEXT:
		*(const char **)option->target = value;
		return *value ? NULL : "must not be empty";
	case FM_OPTION_COUNT: {
		long number = strtol(value, &end, 10);
		if (errno || end == value || *end)
			return "is not a whole number";
		if ((double)number < option->low || (double)number > option->high)
			return "is out of range";
		*(long *)option->target = number;
		return NULL;
	}
	case FM_OPTION_SECONDS: {
		double number = strtod(value, &end);
		if (errno || end == value || *end || !isfinite(number))
			return "is not a number";
		if (number < option->low || number > option->high)
			return "is out of range";
		*(double *)option->target = number;
		return NULL;
	}
	case FM_OPTION_PRECISIONS: {
		enum fm_precision precision;
		bool both = strcmp(value, "both") == 0;
		if (!both && fm_precision_parse(value, &precision, &err) < 0)
			return "is neither float32 nor int8 nor both";
		*(unsigned *)option->target = both ? 1u << FM_FLOAT32 | 1u << FM_INT8 : 1u << precision;
		return NULL;
	}
	case FM_OPTION_SIZE: return parse_size(value, option->target) ? NULL : "is no size such as 320x240";
	case FM_OPTION_PRECISION:
		if (fm_precision_parse(value, option->target, &err) < 0)
			return "is neither float32 nor int8";
		return NULL;
	}
	return "is of an unknown kind";
}

bool fm_options_parse(struct fm_call *call, const struct fm_option *options, size_t option_count,
        size_t operands_min, size_t operands_max, int *ret_exit)
{
	struct option table[OPTIONS_MAX + 2] = {0};
	bool seen[OPTIONS_MAX] = {false};
	int value;

	if (option_count > OPTIONS_MAX) {
		*ret_exit = fm_usage_error(call->command, "has more options than the parser holds");
		return false;
	}
	for (size_t i = 0; i < option_count; i++)
		table[i] = (struct option){.name = options[i].name,
		        .has_arg = options[i].kind == FM_OPTION_FLAG ? no_argument : required_argument,
		        .val = (int)i};
	table[option_count] = (struct option){.name = "help", .has_arg = no_argument, .val = HELP_VALUE};

	optind = 0; /* main has used getopt before: start afresh */
	opterr = 0;
	while ((value = getopt_long(call->argc, call->argv, ":", table, NULL)) != -1) {
		if (value == HELP_VALUE) {
			print_help(call->command, options, option_count);
			*ret_exit = FM_EXIT_OK;
			return false;
		}
		if (value == ':' || value == '?') {
			*ret_exit = fm_usage_error(call->command, "%s %s",
			        value == ':' ? "no value for" : "unknown, ambiguous or malformed option",
			        call->argv[optind - 1]);
			return false;
		}
		const char *wrong = set_option(&options[value], optarg);
		if (wrong) {
			*ret_exit = fm_usage_error(
			        call->command, "--%s: '%s' %s", options[value].name, optarg, wrong);
			return false;
		}
		seen[value] = true;
	}
	for (size_t i = 0; i < option_count; i++)
		if (options[i].required && !seen[i]) {
			*ret_exit = fm_usage_error(
			        call->command, "--%s %s is missing", options[i].name, options[i].metavar);
			return false;
		}
	call->operands = call->argv + optind;
	call->operand_count = (size_t)(call->argc - optind);
	if (call->operand_count < operands_min) {
		*ret_exit = fm_usage_error(call->command, "%s is missing", call->command->operands);
		return false;
	}
	if (call->operand_count > operands_max) {
		*ret_exit = fm_usage_error(
		        call->command, "one argument too many: %s", call->operands[operands_max]);
		return false;
	}
	return true;
}
