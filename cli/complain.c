#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/banned.h"

char *fm_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
	return text;
}

void fm_complain(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "facematchctl: %s\n", fm_printable(text));
}
