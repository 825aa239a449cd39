#include "cli/calibration.h"

#include "lib/base/size.h"

#include <math.h>
#include <stdio.h>

#include "lib/base/banned.h"

static const int rates[][2] = {{5, -1}, {1, -1}, {3, -2}, {1, -2}, {3, -3}, {1, -3}, {3, -4}, {1, -4},
        {3, -5}, {1, -5}, {3, -6}, {1, -6}, {3, -7}, {1, -7}, {3, -8}, {1, -8}};

static double rate(size_t i)
{
	return rates[i][0] * pow(10, rates[i][1]);
}

bool fm_calibration_points(const struct fm_stats *stats, char ret_text[FM_CALIBRATION_TEXT_MAX])
{
	double impostors = (double)fm_stats_impostors(stats), last_cosine = -2;
	size_t supported = 0, points = 0, length = 0;

	while (supported < FM_ARRAY_SIZE(rates) && FM_CALIBRATION_SUPPORT / rate(supported) <= impostors)
		supported++;
	for (size_t i = 0; i < supported; i++) {
		/* A point less than a decade above the last would make the last segment short. */
		if (i + 2 == supported && i > 1)
			continue;
		double cosine = ceil(fm_stats_at_far(stats, rate(i)).threshold * 1000) / 1000;
		if (cosine <= last_cosine)
			continue;
		length += (size_t)snprintf(ret_text + length, FM_CALIBRATION_TEXT_MAX - length,
		        "%s%.3f:%de%d", points ? ", " : "", cosine, rates[i][0], rates[i][1]);
		last_cosine = cosine;
		points++;
	}
	return points >= 2;
}
