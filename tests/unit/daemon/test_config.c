#include "daemon/config.h"

#include "lib/base/file.h"
#include "lib/face/pipeline.h"

#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

static struct fm_config config;
static struct fm_error err;

static void begin(void)
{
	cr_assert_eq(fm_config_init(&config, &err), FM_OK, "%s", err.message);
}

static void end(void)
{
	fm_config_done(&config);
}

TestSuite(config, .init = begin, .fini = end);

static enum fm_status read_text(const char *text)
{
	return fm_config_read_text(&config, text, "test.conf", &err);
}

Test(config, defaults_are_good)
{
	cr_expect_eq(fm_config_check(&config, &err), FM_OK, "%s", err.message);
	cr_expect_str_eq(config.listen, "127.0.0.1:8660");
	cr_expect_eq(config.body_max_bytes, 20 << 20);
	cr_expect_float_eq(config.false_match_rate, 1e-4, 1e-12);
	cr_expect_float_eq(config.false_positive_identification_rate, 1e-2, 1e-12);
}

Test(config, defaults_are_the_pipelines)
{
	const struct fm_pipeline_options *pipeline = &fm_pipeline_defaults;

	cr_expect_eq(config.pixels_max, (int64_t)pipeline->limits.pixels_max);
	cr_expect_eq(config.side_max_px, pipeline->limits.side_max_px);
	cr_expect_eq(config.min_face_px, pipeline->min_face_px);
	cr_expect_eq(config.faces_max, (int64_t)pipeline->faces_max);
	cr_expect_eq(config.min_enroll_px, pipeline->min_enroll_px);
	cr_expect_float_eq(config.min_score, pipeline->min_score, 1e-6);
	cr_expect_float_eq(config.min_sharpness, pipeline->min_sharpness, 1e-6);
	cr_expect_float_eq(config.min_brightness, pipeline->min_brightness, 1e-6);
	cr_expect_float_eq(config.max_brightness, pipeline->max_brightness, 1e-6);
	cr_expect_float_eq(config.max_yaw_deg, pipeline->max_yaw_deg, 1e-4);
	cr_expect_float_eq(config.max_roll_deg, pipeline->max_roll_deg, 1e-4);
	cr_expect_str_eq(config.detection, fm_models_defaults.detection);
	cr_expect_str_eq(config.landmarks, fm_models_defaults.landmarks);
	cr_expect_str_eq(config.embedding, fm_models_defaults.embedding);
	cr_expect_str_eq(config.precision, fm_precision_name(fm_models_defaults.precision));
}

/* The shipped file shows every setting with its default, commented out: uncommented it must say the same. */
Test(config, shipped_file_lists_every_default)
{
	char *text, *line, *rest;
	size_t length, shown = 0;
	char active[65536] = "";

	cr_assert_eq(fm_file_read("config/facematchd.conf", 65535, &text, &length, &err), FM_OK, "%s",
	        err.message);
	cr_assert_eq(read_text(text), FM_OK, "as shipped: %s", err.message);
	for (rest = text; (line = strsep(&rest, "\n"));) {
		size_t used = strlen(active);
		bool setting = line[0] == '#' && line[1] != ' ' && line[1] && strstr(line, " = ");
		shown += setting;
		snprintf(active + used, sizeof(active) - used, "%s\n", setting ? line + 1 : line);
	}
	free(text);
	cr_expect_eq(shown, fm_setting_count, "%zu shown, %zu settings", shown, fm_setting_count);

	struct fm_config defaults;
	cr_assert_eq(fm_config_init(&defaults, NULL), FM_OK);
	cr_assert_eq(read_text(active), FM_OK, "uncommented: %s", err.message);
	for (size_t i = 0; i < fm_setting_count; i++) {
		const struct fm_setting *setting = &fm_settings[i];
		const char *a = (const char *)&config + setting->offset;
		const char *b = (const char *)&defaults + setting->offset;
		bool same = setting->type == FM_SETTING_TEXT   ? strcmp(*(char **)a, *(char **)b) == 0
		            : setting->type != FM_SETTING_REAL ? *(const int64_t *)a == *(const int64_t *)b
		                                               : *(const double *)a == *(const double *)b;
		cr_expect(same, "[%s] %s", setting->section, setting->key);
	}
	fm_config_done(&defaults);
}

Test(config, manual_lists_every_key_with_its_default)
{
	char *text;
	size_t length;

	cr_assert_eq(fm_file_read("docs/man/facematchd.conf.5", 1 << 20, &text, &length, &err), FM_OK);
	for (size_t i = 0; i < fm_setting_count; i++) {
		const struct fm_setting *setting = &fm_settings[i];
		char section[64], key[96], wanted[96] = "\nDefault: empty.";
		snprintf(section, sizeof(section), ".SH [%s]", setting->section);
		snprintf(key, sizeof(key), ".B %s\n", setting->key);
		/* A minus is written \\- there. */
		if (setting->default_text[0]) {
			size_t used = (size_t)snprintf(wanted, sizeof(wanted), "\nDefault: ");
			for (const char *c = setting->default_text; *c; c++)
				used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s%c",
				        *c == '-' ? "\\" : "", *c);
			snprintf(wanted + used, sizeof(wanted) - used, ".");
		}
		const char *at = strstr(text, section);
		at = at ? strstr(at, key) : NULL;
		cr_assert_not_null(at, "[%s] %s", setting->section, setting->key);
		const char *end = strstr(at, "\n.TP"), *found = strstr(at, wanted);
		cr_expect(found && (!end || found < end), "[%s] %s: not \"%s\"", setting->section,
		        setting->key, wanted + 1);
	}
	free(text);
}

Test(config, longest_line)
{
	char text[256];

	snprintf(text, sizeof(text), "[gallery]\npath = /%0*d\n", 198 - 8, 1);
	cr_expect_eq(read_text(text), FM_OK, "%s", err.message);
	cr_expect_eq(strlen(config.gallery), 191);
	fm_config_done(&config);
	begin();
	snprintf(text, sizeof(text), "[gallery]\npath = /%0*d\n", 199 - 8, 1);
	cr_expect_eq(read_text(text), FM_E_INVALID);
}

Test(config, file_overrides_and_command_line_overrides_it)
{
	cr_assert_eq(read_text("# comment\n[server]\nlisten = [::1]:80\n\n[match]\nfalse_match_rate=1e-6\n"
	                       "[gallery]\npath = /tmp/x y.db\n"),
	        FM_OK, "%s", err.message);
	cr_expect_str_eq(config.listen, "[::1]:80");
	cr_expect_float_eq(config.false_match_rate, 1e-6, 1e-15);
	cr_expect_str_eq(config.gallery, "/tmp/x y.db");
	cr_assert_eq(fm_config_set(&config, "server", "listen", "127.0.0.1:0", &err), FM_OK);
	cr_expect_str_eq(config.listen, "127.0.0.1:0");
	cr_expect_eq(fm_config_set(&config, "server", "nothing", "1", &err), FM_E_NOT_FOUND);
}

static void expect_refused(const char *text, const char *wanted)
{
	cr_expect_eq(read_text(text), FM_E_INVALID, "accepted: %s", text);
	cr_expect(strstr(err.message, wanted), "\"%s\" does not say \"%s\"", err.message, wanted);
}

Test(config, errors_name_file_and_line)
{
	char line[1000];

	expect_refused("[server]\nlisten = 127.0.0.1:1\nlissten = 1\n",
	        "test.conf:3: unknown setting [server] lissten");
	expect_refused("\n[nowhere]\na = 1\n", "test.conf:3: unknown setting [nowhere] a");
	expect_refused("[server]\nio_threads = 2\n\nio_threads = 3\n",
	        "test.conf:4: [server] io_threads is set on line 2");
	expect_refused("[server]\nio_threads = many\n",
	        "test.conf:2: [server] io_threads = many is not a number from 1 to 64");
	expect_refused("[server]\nio_threads = 0\n", "test.conf:2:");
	expect_refused("[server]\nio_threads = 65\n", "test.conf:2:");
	expect_refused("[server]\nio_threads = 2.5\n", "test.conf:2:");
	expect_refused("[server]\nio_threads = 99999999999999999999\n", "test.conf:2:");
	expect_refused("[match]\nfalse_match_rate = nan\n", "test.conf:2:");
	expect_refused("[match]\nfalse_match_rate = 0\n", "test.conf:2:");
	expect_refused("[server]\nlisten =\n", "test.conf:2:");
	expect_refused("[server]\nnonsense\n", "test.conf:2: neither");
	snprintf(line, sizeof(line), "[gallery]\npath = /%*d\n", 900, 1);
	expect_refused(line, "test.conf:2: the line is too long");
}

Test(config, indented_line_is_not_swallowed)
{
	/* inih takes an indented line for more of the value before; that must not pass in silence. */
	expect_refused("[server]\nlisten = 127.0.0.1:1\n  io_threads = 3\n", "test.conf:3:");
}

Test(config, check_looks_at_what_a_row_cannot)
{
	static const struct {
		const char *section, *key, *value;
	} wrong[] = {
	        {"server", "listen", "somewhere:8660"},
	        {"log", "level", "loud"},
	        {"models", "precision", "int4"},
	        {"limits", "bodies_max_bytes", "2048"},
	        {"enroll", "min_brightness", "0.99"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fm_config changed;
		cr_assert_eq(fm_config_init(&changed, NULL), FM_OK);
		cr_assert_eq(
		        fm_config_set(&changed, wrong[i].section, wrong[i].key, wrong[i].value, &err), FM_OK);
		cr_expect_eq(fm_config_check(&changed, &err), FM_E_INVALID, "[%s] %s = %s", wrong[i].section,
		        wrong[i].key, wrong[i].value);
		fm_config_done(&changed);
	}
}

Test(config, missing_file_is_told_apart)
{
	cr_expect_eq(fm_config_read_file(&config, "/nonexistent/facematchd.conf", &err), FM_E_NOT_FOUND);
}

Test(config, gallery_path)
{
	char *path;

	unsetenv("STATE_DIRECTORY");
	cr_assert_eq(fm_config_gallery_path(&config, &path, &err), FM_OK);
	cr_expect_str_eq(path, "/var/lib/facematchd/gallery.db");
	free(path);
	setenv("STATE_DIRECTORY", "/state/a:/state/b", 1);
	cr_assert_eq(fm_config_gallery_path(&config, &path, &err), FM_OK);
	cr_expect_str_eq(path, "/state/a/gallery.db");
	free(path);
	cr_assert_eq(fm_config_set(&config, "gallery", "path", "/g.db", &err), FM_OK);
	cr_assert_eq(fm_config_gallery_path(&config, &path, &err), FM_OK);
	cr_expect_str_eq(path, "/g.db");
	free(path);
}
