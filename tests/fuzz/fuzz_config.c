/* Settings with mistakes: what is accepted lies within the bounds of its row. */
#include "daemon/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(const struct fm_config *config, const struct fm_setting *setting)
{
	const void *member = (const char *)config + setting->offset;
	double value = 0;

	switch (setting->type) {
	case FM_SETTING_TEXT: value = (double)strlen(*(char *const *)member); break;
	case FM_SETTING_SWITCH:
	case FM_SETTING_INTEGER: value = (double)*(const int64_t *)member; break;
	case FM_SETTING_REAL: value = *(const double *)member; break;
	}
	return value >= setting->minimum && value <= setting->maximum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fm_config config;
	struct fm_error err;
	char *text = strndup((const char *)data, size);

	if (!text || fm_config_init(&config, &err))
		abort();
	if (fm_config_read_text(&config, text, "input", &err) == FM_OK) {
		for (size_t i = 0; i < fm_setting_count; i++) {
			if (!within(&config, &fm_settings[i]))
				abort();
		}
		fm_config_check(&config, &err);
	}
	fm_config_done(&config);
	free(text);
	return 0;
}
