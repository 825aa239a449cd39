#include "cli/npy.h"
#include "lib/base/cleanup.h"
#include "lib/base/size.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

struct bytes {
	unsigned char data[4096];
	size_t length;
};

/* A file as a writer would put it together: preamble, header text, data. */
static struct bytes build(int version, const char *header, const void *data, size_t data_length)
{
	struct bytes file = {.data = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0}};
	size_t header_length = strlen(header);

	file.data[8] = header_length & 0xff;
	file.data[9] = (unsigned char)(header_length >> 8);
	file.length = version == 1 ? 10 : 12;
	memcpy(file.data + file.length, header, header_length);
	file.length += header_length;
	memcpy(file.data + file.length, data, data_length);
	file.length += data_length;
	return file;
}

/* An exact-size copy on the heap, so that AddressSanitizer sees one byte too many. */
static enum fm_status parse(const void *bytes, size_t length, struct fm_npy *npy, struct fm_error *err)
{
	fm_autofree char *copy = malloc(length ? length : 1);

	memcpy(copy, bytes, length);
	return fm_npy_parse(copy, length, npy, err);
}

static void expect_refused(struct bytes file, enum fm_status status)
{
	struct fm_npy npy = {0};
	struct fm_error err = {0};

	cr_expect_eq(parse(file.data, file.length, &npy, &err), status, "%s: %s", fm_status_name(err.status),
	        err.message);
	cr_expect_null(npy.values);
	cr_expect_neq(err.message[0], '\0');
}

#define HEADER(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }\n"

Test(npy, reads_float32_of_both_versions)
{
	const float values[] = {1.5f, -2, 0.25f, 3e10f, 0, -0.5f};

	for (int version = 1; version <= 2; version++) {
		struct bytes file = build(version, HEADER("<f4", "(2, 3)"), values, sizeof(values));
		struct fm_npy npy = {0};
		cr_assert_eq(parse(file.data, file.length, &npy, NULL), FM_OK);
		cr_expect_eq(npy.rank, 2);
		cr_expect_eq(npy.dims[0], 2);
		cr_expect_eq(npy.dims[1], 3);
		cr_expect_eq(npy.elements, 6);
		cr_expect_arr_eq(npy.values, values, sizeof(values));
		fm_npy_done(&npy);
	}
}

Test(npy, converts_other_types)
{
	const double doubles[] = {0.5, -3};
	const uint8_t bytes[] = {0, 255};
	const int64_t longs[] = {-7, (int64_t)1 << 40};
	const struct {
		struct bytes file;
		float wanted[2];
	} cases[] = {
	        {build(1, HEADER("<f8", "(2,)"), doubles, sizeof(doubles)), {0.5f, -3}},
	        {build(1, HEADER("|u1", "(2,)"), bytes, sizeof(bytes)), {0, 255}},
	        {build(1, HEADER("<i8", "(2,)"), longs, sizeof(longs)), {-7, 0x1p40f}},
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(cases); i++) {
		struct fm_npy npy = {0};
		cr_assert_eq(parse(cases[i].file.data, cases[i].file.length, &npy, NULL), FM_OK);
		cr_expect_eq(npy.rank, 1);
		cr_expect_arr_eq(npy.values, cases[i].wanted, sizeof(cases[i].wanted), "case %zu", i);
		fm_npy_done(&npy);
	}
}

Test(npy, takes_headers_in_any_spelling)
{
	const float value = 4;
	static const char *const headers[] = {
	        "{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"<f4\"}",
	        "{ 'fortran_order' : False ,\t'shape' : ( 1 , 1 ) , 'descr' : '<f4' , }      \n",
	        HEADER("<f4", "()"),
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(headers); i++) {
		struct bytes file = build(1, headers[i], &value, sizeof(value));
		struct fm_npy npy = {0};
		cr_assert_eq(parse(file.data, file.length, &npy, NULL), FM_OK, "case %zu", i);
		cr_expect_eq(npy.elements, 1);
		cr_expect_eq(npy.values[0], value);
		fm_npy_done(&npy);
	}
}

Test(npy, refuses_what_it_does_not_read)
{
	const float value = 0;

	expect_refused(build(3, HEADER("<f4", "(1,)"), &value, 4), FM_E_UNSUPPORTED);
	expect_refused(build(1, HEADER(">f4", "(1,)"), &value, 4), FM_E_UNSUPPORTED);
	expect_refused(build(1, HEADER("<c8", "(1,)"), &value, 4), FM_E_UNSUPPORTED);
	expect_refused(
	        build(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &value, 4),
	        FM_E_UNSUPPORTED);
	expect_refused(build(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", &value, 4),
	        FM_E_UNSUPPORTED);
	expect_refused(build(1, HEADER("<f4", "(1,1,1,1,1,1,1,1,1)"), &value, 4), FM_E_UNSUPPORTED);
}

Test(npy, refuses_hostile_headers)
{
	const float value = 0;
	static const char *const headers[] = {
	        "",
	        "{",
	        "}",
	        "{}",
	        "{'",
	        "{'descr",
	        "{'descr'",
	        "{'descr':",
	        "[1, 2]",
	        "{'descr': '<f4', 'fortran_order': False}",
	        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
	        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}",
	        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'import os': 1}",
	        "{'a key that is longer than any that the format knows': 1}",
	};

	for (size_t i = 0; i < FM_ARRAY_SIZE(headers); i++)
		expect_refused(build(1, headers[i], &value, sizeof(value)), FM_E_CORRUPT);
}

Test(npy, refuses_wrong_sizes)
{
	const float values[2] = {0};
	struct bytes file = build(1, HEADER("<f4", "(2,)"), values, sizeof(values));

	/* Every prefix of a good file is an error, and none reads past its end. */
	for (size_t length = 0; length < file.length; length++) {
		struct fm_npy npy = {0};
		cr_expect_lt(parse(file.data, length, &npy, NULL), 0, "%zu bytes", length);
		cr_expect_null(npy.values);
	}
	file.length++;
	expect_refused(file, FM_E_CORRUPT);

	/* The shape promises 4 TB that are not there: nothing that large may be allocated. */
	expect_refused(build(1, HEADER("<f4", "(1099511627776,)"), values, sizeof(values)), FM_E_TRUNCATED);

	file = build(2, HEADER("<f4", "(2,)"), values, sizeof(values));
	file.data[11] = 0xff; /* a header of 4 GiB */
	expect_refused(file, FM_E_TOO_LARGE);
	file.data[11] = 0;
	file.data[9] = 0x40; /* within the limit, beyond the file */
	expect_refused(file, FM_E_TRUNCATED);
	file.data[0] = 0x92;
	expect_refused(file, FM_E_CORRUPT);
}

/* The bytes that NumPy 1.24's numpy.save writes for float32 [[1, 2]]. */
Test(npy, writes_the_same_bytes_as_numpy)
{
	const float values[] = {1, 2};
	const size_t dims[] = {1, 2};
	fm_autofree char *bytes = NULL;
	size_t length;

	cr_assert_eq(fm_npy_format(values, dims, 2, &bytes, &length, NULL), FM_OK);
	cr_expect_eq(length, 128 + sizeof(values));
	cr_expect_arr_eq(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
	static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
	cr_expect_arr_eq(bytes + 10, header, sizeof(header) - 1);
	for (size_t i = 10 + sizeof(header) - 1; i < 127; i++)
		cr_assert_eq(bytes[i], ' ');
	cr_expect_eq(bytes[127], '\n');
	cr_expect_arr_eq(bytes + 128, values, sizeof(values));
}

Test(npy, round_trips_every_rank)
{
	const float values[24] = {1, 2, 3, [23] = 24};
	static const size_t shapes[][FM_NPY_RANK_MAX] = {{24}, {24}, {4, 6}, {2, 3, 4}, {1, 2, 3, 4},
	        {1, 1, 2, 3, 4}, {1, 1, 1, 2, 3, 4}, {1, 1, 1, 1, 2, 3, 4}, {1, 1, 1, 1, 1, 2, 3, 4}};

	for (size_t rank = 0; rank < FM_ARRAY_SIZE(shapes); rank++) {
		fm_autofree char *bytes = NULL;
		struct fm_npy npy = {0};
		size_t length;

		cr_assert_eq(fm_npy_format(values, shapes[rank], rank, &bytes, &length, NULL), FM_OK);
		cr_assert_eq(parse(bytes, length, &npy, NULL), FM_OK);
		cr_expect_eq(npy.rank, rank);
		cr_expect_eq(npy.elements, rank ? 24 : 1);
		cr_expect_arr_eq(npy.dims, shapes[rank], rank * sizeof(size_t));
		cr_expect_arr_eq(npy.values, values, npy.elements * sizeof(float));
		fm_npy_done(&npy);
	}
}

Test(npy, an_empty_array_is_read)
{
	struct bytes file = build(1, HEADER("<f4", "(0, 3)"), "", 0);
	struct fm_npy npy = {0};

	cr_assert_eq(parse(file.data, file.length, &npy, NULL), FM_OK);
	cr_expect_eq(npy.elements, 0);
	fm_npy_done(&npy);
}
