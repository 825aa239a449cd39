#include "lib/image/exif.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/banned.h"

enum {
	UPRIGHT = 1,
	HEADER_BYTES = 8,
	ENTRY_BYTES = 12,
	TAG_ORIENTATION = 0x0112,
	TYPE_SHORT = 3,
	TYPE_LONG = 4,
};

static uint32_t read16(const uint8_t *at, bool big_endian)
{
	return big_endian ? (uint32_t)at[0] << 8 | at[1] : (uint32_t)at[1] << 8 | at[0];
}

static uint32_t read32(const uint8_t *at, bool big_endian)
{
	uint32_t first = read16(at, big_endian), second = read16(at + 2, big_endian);

	return big_endian ? first << 16 | second : second << 16 | first;
}

/* Some writers store the value as LONG; it is one value either way. */
static int entry_orientation(const uint8_t *entry, bool big_endian)
{
	uint32_t type = read16(entry + 2, big_endian), value = 0;

	if (read32(entry + 4, big_endian) != 1)
		return UPRIGHT;
	if (type == TYPE_SHORT)
		value = read16(entry + 8, big_endian);
	else if (type == TYPE_LONG)
		value = read32(entry + 8, big_endian);
	return value >= 1 && value <= 8 ? (int)value : UPRIGHT;
}

int fm_exif_orientation(const uint8_t *bytes, size_t length)
{
	static const uint8_t prefix[6] = {'E', 'x', 'i', 'f', 0, 0};

	if (length >= sizeof(prefix) && memcmp(bytes, prefix, sizeof(prefix)) == 0) {
		bytes += sizeof(prefix);
		length -= sizeof(prefix);
	}
	if (length < HEADER_BYTES)
		return UPRIGHT;

	bool big_endian = bytes[0] == 'M';
	if ((bytes[0] != 'M' && bytes[0] != 'I') || bytes[1] != bytes[0] ||
	        read16(bytes + 2, big_endian) != 42)
		return UPRIGHT;

	size_t directory = read32(bytes + 4, big_endian);
	if (directory < HEADER_BYTES || directory > length - 2)
		return UPRIGHT;
	size_t count = read16(bytes + directory, big_endian);
	size_t room = (length - directory - 2) / ENTRY_BYTES;
	if (count > room)
		count = room;

	const uint8_t *entry = bytes + directory + 2;
	for (size_t i = 0; i < count; i++, entry += ENTRY_BYTES) {
		if (read16(entry, big_endian) == TAG_ORIENTATION)
			return entry_orientation(entry, big_endian);
	}
	return UPRIGHT;
}
