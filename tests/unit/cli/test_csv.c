#include "cli/csv.h"
#include "lib/base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

/* Parses and writes rows as "line:[field][field]" one after another, or "error: message". */
static char *parse(const char *bytes, size_t length)
{
	fm_autofree char *copy = malloc(length + 1);
	struct fm_csv_row row;
	struct fm_error err;
	struct fm_csv csv;
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	memcpy(copy, bytes, length);
	fm_csv_init(&csv, copy, length);
	for (bool found = true; found;) {
		if (fm_csv_next(&csv, &row, &found, &err) < 0) {
			fprintf(out, "error: %s", err.message);
			break;
		}
		if (!found)
			break;
		fprintf(out, "%zu:", row.line);
		for (size_t i = 0; i < row.count; i++)
			fprintf(out, "[%s]", row.fields[i]);
	}
	fclose(out);
	return text;
}

static void expect(const char *csv, const char *wanted)
{
	fm_autofree char *got = parse(csv, strlen(csv));

	cr_expect_str_eq(got, wanted, "%s\ngave   %s\nwanted %s", csv, got, wanted);
}

Test(csv, plain_rows_and_line_ends)
{
	expect("", "");
	expect("\n\r\n\n", "");
	expect("a,b,same\nx,y,1\n", "1:[a][b][same]2:[x][y][1]");
	expect("a,b\r\nc,d", "1:[a][b]2:[c][d]");
	expect("a\rb\r\n\nc", "1:[a]2:[b]4:[c]");
	expect("a,,\n,", "1:[a][][]2:[][]");
	expect("\xef\xbb\xbf"
	       "a,b\n",
	        "1:[a][b]");
	expect(" a , b ", "1:[ a ][ b ]");
}

Test(csv, quoted_fields)
{
	expect("\"a,b\",c\n", "1:[a,b][c]");
	expect("\"say \"\"hi\"\"\",\"\"\n", "1:[say \"hi\"][]");
	expect("\"two\nlines\",x\nnext", "1:[two\nlines][x]3:[next]");
	expect("\"end\"", "1:[end]");
	expect("x,\"end\"\r\ny", "1:[x][end]2:[y]");
}

Test(csv, malformed_rows_name_their_line)
{
	expect("ok\n\"open", "1:[ok]error: line 2: a quote does not close");
	expect("\"a\"b\n", "error: line 1: text follows a closing quote");
	expect("x\ny\na\"b", "1:[x]2:[y]error: line 3: a quote inside an unquoted field");
	expect("\"", "error: line 1: a quote does not close");
	expect("\"\"\"", "error: line 1: a quote does not close");

	fm_autofree char *got = parse("a\nb\0c\n", 6);
	cr_expect_str_eq(got, "1:[a]error: line 2: a NUL byte");
}

Test(csv, too_many_fields)
{
	char commas[FM_CSV_FIELDS_MAX + 1] = "";

	memset(commas, ',', FM_CSV_FIELDS_MAX - 1);
	fm_autofree char *most = parse(commas, strlen(commas));
	cr_expect_null(strstr(most, "error"));
	commas[FM_CSV_FIELDS_MAX - 1] = ',';
	expect(commas, "error: line 1: more than 64 fields");
}
