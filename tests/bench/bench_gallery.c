/*
 * How fast the gallery is on a disk: durable enrolments a second from one and from several clients at once,
 * deleting people, reading every embedding as a start does, and searching while others delete or enrol.
 *
 *	bench_gallery [--faces N] [--dim D] [--clients C] [--seconds S] [--directory DIR] [--json]
 *	bench_gallery --make FILE --model NAME@FINGERPRINT [--faces N] [--dim D]
 *
 * The gallery is made in DIR (default: the working directory, since /tmp may be memory) and removed again. It
 * holds N faces (default 10,000) of random unit vectors, two a person, before anything is timed. The second
 *form makes such a gallery and leaves it there.
 */
#include "lib/base/size.h"
#include "lib/gallery/gallery.h"
#include "lib/search/index.h"

#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUALITY                                                                                              \
	"{\"score\":0.971,\"size_px\":180,\"sharpness\":0.42,\"brightness\":0.5,\"yaw_deg\":-3.1,\"roll_"    \
	"deg\":0.2}"
#define CLIENTS_MAX   64
#define DELETIONS     50
#define LATENCIES_MAX 200000
#define ROUNDS        5
#define PROBES        64

static struct fm_gallery *gallery;
static struct fm_error error;
static int64_t home;
static size_t dim = 512;
static const char *model = "net@0123456789abcdef";
static atomic_bool stop;
static struct fm_index *people_index; /* kept in step, as the daemon does */

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_gallery: %s: %s\n", what, error.message);
	exit(1);
}

static void fill_embedding(float *embedding, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	double square = 0;

	for (size_t i = 0; i < dim; i++) {
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		embedding[i] = (float)((int32_t)(state * UINT64_C(0x2545f4914f6cdd1d) >> 32)) / 2147483648.0f;
		square += (double)embedding[i] * embedding[i];
	}
	for (size_t i = 0; i < dim; i++)
		embedding[i] = (float)(embedding[i] / sqrt(square));
}

static void run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		snprintf(error.message, sizeof(error.message), "%s", sqlite3_errmsg(db));
		die(sql);
	}
}

/* Behind the gallery's back, in one transaction: what the gallery would have written, only sooner. */
static void fill(const char *path, size_t faces)
{
	static float embedding[FM_EMBEDDING_DIM_MAX];
	char sql[512], id[FM_UUID_TEXT];
	sqlite3_stmt *person, *face;
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		die(path);
	run(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN");
	snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO models (text, dim) VALUES ('%s', %zu)", model, dim);
	run(db, sql);
	sqlite3_prepare_v2(db,
	        "INSERT INTO people (collection, id, name, metadata, created_at_ms, updated_at_ms)"
	        " VALUES (1, ?1, ?2, '{}', 1700000000000, 1700000000000)",
	        -1, &person, NULL);
	sqlite3_prepare_v2(db,
	        "INSERT INTO faces (id, collection, person, model, created_at_ms, quality, image_sha256, "
	        "box_x,"
	        " box_y, box_width, box_height, embedding) VALUES (?1, 1, ?2, 1, 1700000000000, '" QUALITY
	        "', ?3, 10, 20, 100, 120, ?4)",
	        -1, &face, NULL);
	for (size_t i = 0; i < faces; i++) {
		uint8_t sha[32] = {0};

		memcpy(sha, &i, sizeof(i));
		fm_uuid_new(id);
		if (i % 2 == 0) {
			snprintf(sql, sizeof(sql), "Person %zu", i / 2);
			sqlite3_bind_text(person, 1, id, -1, SQLITE_TRANSIENT);
			sqlite3_bind_text(person, 2, sql, -1, SQLITE_TRANSIENT);
			sqlite3_step(person);
			sqlite3_reset(person);
		}
		fill_embedding(embedding, i);
		sqlite3_bind_text(face, 1, id, -1, SQLITE_TRANSIENT);
		sqlite3_bind_int64(face, 2, (int64_t)i / 2 + 1);
		sqlite3_bind_blob(face, 3, sha, sizeof(sha), SQLITE_TRANSIENT);
		sqlite3_bind_blob(face, 4, embedding, (int)(dim * sizeof(float)), SQLITE_TRANSIENT);
		if (sqlite3_step(face) != SQLITE_DONE) {
			snprintf(error.message, sizeof(error.message), "%s", sqlite3_errmsg(db));
			die("fill");
		}
		sqlite3_reset(face);
	}
	sqlite3_finalize(person);
	sqlite3_finalize(face);
	run(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(db);
}

struct client {
	pthread_t thread;
	uint64_t number;
	size_t count;
	double *latencies_ms;
};

static void *enroll(void *argument)
{
	static _Thread_local float embedding[FM_EMBEDDING_DIM_MAX];
	struct client *client = argument;

	for (uint64_t seed = client->number << 32; !atomic_load(&stop) && client->count < LATENCIES_MAX;
	        seed++) {
		struct fm_face_insert insert = {.embedding = embedding,
		        .dim = dim,
		        .model = model,
		        .quality = QUALITY,
		        .box = {10, 20, 100, 120}};
		struct fm_person person;
		struct fm_face_record face;
		struct fm_error err;
		char name[64];
		bool existed;

		fill_embedding(embedding, seed);
		memcpy(insert.image_sha256, &seed, sizeof(seed));
		snprintf(name, sizeof(name), "Client %d person %llu", (int)client->number,
		        (unsigned long long)seed / 4);
		double begin = now_ms();

		if (fm_gallery_enroll_by_name(gallery, home, name, &insert, &person, &face, &existed, &err) !=
		        FM_OK) {
			error = err;
			die("enrolment");
		}
		client->latencies_ms[client->count++] = now_ms() - begin;
		fm_person_done(&person);
		fm_face_record_done(&face);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return count ? values[count / 2] : NAN;
}

/* Enrolments a second, and the median time of one. */
static double bench_enrolment(size_t count, double seconds, uint64_t first_number, double *ret_median_ms)
{
	struct client clients[CLIENTS_MAX];
	double *all = malloc(count * LATENCIES_MAX * sizeof(*all));
	size_t total = 0;
	double begin = now_ms();

	atomic_store(&stop, false);
	for (size_t i = 0; i < count; i++) {
		clients[i] =
		        (struct client){.number = first_number + i, .latencies_ms = all + i * LATENCIES_MAX};
		pthread_create(&clients[i].thread, NULL, enroll, &clients[i]);
	}
	nanosleep(&(struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)(fmod(seconds, 1) * 1e9)},
	        NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < count; i++) {
		pthread_join(clients[i].thread, NULL);
		memmove(all + total, clients[i].latencies_ms, clients[i].count * sizeof(*all));
		total += clients[i].count;
	}
	double took_ms = now_ms() - begin;

	*ret_median_ms = median(all, total);
	free(all);
	return (double)total / took_ms * 1e3;
}

/* ---- searches beside changes ---- */

static enum fm_status fetch(void *context, const int64_t *face_keys, size_t count, float *ret_embeddings,
        bool *ret_found, struct fm_error *err)
{
	(void)context;
	return fm_gallery_face_embeddings(
	        gallery, model, dim, face_keys, count, ret_embeddings, ret_found, err);
}

static enum fm_status face_added(void *context, const struct fm_face_record *face, const char *of_model,
        const float *embedding, size_t face_dim, struct fm_error *err)
{
	(void)context, (void)of_model, (void)face_dim;
	return fm_index_add(people_index, face->collection_key, face->person_key, face->key, embedding, err);
}

static void removed(void *context, enum fm_object object, int64_t key)
{
	(void)context;
	if (object == FM_OBJECT_PERSON)
		fm_index_remove_person(people_index, key);
}

static enum fm_status add_block(void *context, const struct fm_embedding_owner *owners,
        const float *embeddings, size_t count, size_t visited_dim, struct fm_error *err)
{
	enum fm_status status = FM_OK;

	(void)context;
	fm_index_begin(people_index);
	for (size_t i = 0; status == FM_OK && i < count; i++)
		status = fm_index_add(people_index, owners[i].collection_key, owners[i].person_key,
		        owners[i].face_key, embeddings + i * visited_dim, err);
	fm_index_commit(people_index);
	return status;
}

static void *delete_people(void *argument)
{
	struct client *client = argument;
	char cursor[FM_UUID_TEXT] = "", next[FM_UUID_TEXT];

	while (!atomic_load(&stop)) {
		struct fm_person *people;
		struct fm_error err;
		size_t count;

		/* The second goes: the first is the next page's cursor. */
		if (fm_gallery_person_list(gallery, home, NULL, cursor[0] ? cursor : NULL, 2, &people, &count,
		            next, &err) != FM_OK ||
		        count < 2) {
			error = err;
			die("somebody to delete");
		}
		if (fm_gallery_person_delete(gallery, home, people[1].id, "bench", &err) != FM_OK) {
			error = err;
			die("delete");
		}
		memcpy(cursor, people[0].id, sizeof(cursor));
		client->count++;
		for (size_t i = 0; i < count; i++)
			fm_person_done(&people[i]);
		free(people);
	}
	return NULL;
}

struct beside {
	const char *name;
	void *(*change)(void *client); /* NULL: nobody changes anything */
	double *search_ms;
	size_t searches, changes;
	double median_ms, p99_ms, changes_per_s;
};

/* One search after the other, for so long, beside a client that changes one thing after the other. */
static void search_beside(struct beside *beside, double seconds, uint64_t number)
{
	static float probe[FM_EMBEDDING_DIM_MAX];
	struct client client = {
	        .number = number, .latencies_ms = malloc(LATENCIES_MAX * sizeof(*client.latencies_ms))};
	struct fm_index_hit hits[10];
	struct fm_index_size size;
	size_t found;

	atomic_store(&stop, false);
	if (beside->change)
		pthread_create(&client.thread, NULL, beside->change, &client);
	for (double begin = now_ms(); now_ms() - begin < seconds * 1e3;) {
		fill_embedding(probe, UINT64_C(1) << 60 | beside->searches % PROBES);
		double search_begin = now_ms();

		if (fm_index_search(people_index, home, probe, 1, FM_ARRAY_SIZE(hits), hits, &found, &size,
		            &error) != FM_OK)
			die("search");
		if (beside->searches < LATENCIES_MAX)
			beside->search_ms[beside->searches++] = now_ms() - search_begin;
	}
	atomic_store(&stop, true);
	if (beside->change)
		pthread_join(client.thread, NULL);
	beside->changes += client.count;
	free(client.latencies_ms);
}

static void bench_beside(struct beside *besides, size_t count, double seconds)
{
	if (fm_index_create(dim, fetch, NULL, &people_index, &error) != FM_OK ||
	        fm_gallery_embedding_load(gallery, model, add_block, NULL, &error) != FM_OK)
		die("index");
	fm_gallery_observe(
	        gallery, &(struct fm_gallery_observer){.face_added = face_added, .removed = removed});
	for (size_t i = 0; i < count; i++)
		besides[i].search_ms = malloc(LATENCIES_MAX * sizeof(double));
	for (uint64_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < count; i++)
			search_beside(&besides[i], seconds, 1000 + round);
	for (size_t i = 0; i < count; i++) {
		besides[i].median_ms = median(besides[i].search_ms, besides[i].searches);
		besides[i].p99_ms = besides[i].search_ms[besides[i].searches * 99 / 100];
		besides[i].changes_per_s = (double)besides[i].changes / (seconds * ROUNDS);
		free(besides[i].search_ms);
	}
	fm_gallery_observe(gallery, &(struct fm_gallery_observer){0});
	fm_index_free(people_index);
}

static double bench_deletion(void)
{
	struct fm_person *people;
	char next[FM_UUID_TEXT];
	double times_ms[DELETIONS];
	size_t count, deleted = 0;

	if (fm_gallery_person_list(gallery, home, NULL, NULL, 5000, &people, &count, next, &error) != FM_OK)
		die("list");
	for (size_t i = 0; i < count; i++) {
		if (i % 97 == 13 && deleted < DELETIONS) {
			double begin = now_ms();

			if (fm_gallery_person_delete(gallery, home, people[i].id, "bench", &error) != FM_OK)
				die("delete");
			times_ms[deleted++] = now_ms() - begin;
		}
		fm_person_done(&people[i]);
	}
	free(people);
	return median(times_ms, deleted);
}

static enum fm_status visit(void *context, const struct fm_embedding_owner *owners, const float *embeddings,
        size_t count, size_t visited_dim, struct fm_error *err)
{
	(void)owners, (void)embeddings, (void)visited_dim, (void)err;
	atomic_fetch_add((atomic_size_t *)context, count);
	return FM_OK;
}

/* Opening and reading all of it. */
static double bench_loading(const char *path)
{
	double times_ms[5];
	atomic_size_t read;

	for (size_t i = 0; i < FM_ARRAY_SIZE(times_ms); i++) {
		fm_gallery_close(gallery);
		double begin = now_ms();

		atomic_store(&read, 0);
		if (fm_gallery_open(path, &gallery, &error) != FM_OK ||
		        fm_gallery_embedding_load(gallery, model, visit, &read, &error) != FM_OK)
			die("load");
		times_ms[i] = now_ms() - begin;
	}
	return median(times_ms, FM_ARRAY_SIZE(times_ms));
}

int main(int argc, char **argv)
{
	const char *parent = ".", *made = NULL;
	char directory[512], path[600];
	size_t faces = 10000, clients = 8;
	double seconds = 3;
	bool json = false;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--json") == 0) {
			json = true;
			continue;
		}
		if (strcmp(argv[i], "--faces") == 0)
			faces = strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--dim") == 0)
			dim = strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--clients") == 0)
			clients = strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = strtod(value, NULL);
		else if (strcmp(argv[i], "--directory") == 0)
			parent = value;
		else if (strcmp(argv[i], "--make") == 0)
			made = value;
		else if (strcmp(argv[i], "--model") == 0)
			model = value;
		else
			value = "";
		if (!*value) {
			fprintf(stderr, "bench_gallery: %s?\n", argv[i]);
			return 2;
		}
		i++;
	}
	if (dim < 1 || dim > FM_EMBEDDING_DIM_MAX || clients < 1 || clients > CLIENTS_MAX || seconds <= 0) {
		fprintf(stderr, "bench_gallery: --dim 1..%d, --clients 1..%d, --seconds > 0\n",
		        FM_EMBEDDING_DIM_MAX, CLIENTS_MAX);
		return 2;
	}
	if (made) {
		if (fm_gallery_open(made, &gallery, &error) != FM_OK)
			die("open");
		fm_gallery_close(gallery);
		fill(made, faces);
		return 0;
	}
	snprintf(directory, sizeof(directory), "%s/bench-gallery-XXXXXX", parent);
	if (!mkdtemp(directory)) {
		perror(directory);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/gallery.db", directory);
	if (fm_gallery_open(path, &gallery, &error) != FM_OK)
		die("open");
	struct fm_collection collection;

	if (fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, &error) != FM_OK)
		die("collection");
	home = collection.key;
	fm_collection_done(&collection);
	fill(path, faces);
	double load_ms = bench_loading(path), one_ms, many_ms;
	double one = bench_enrolment(1, seconds, 1, &one_ms);
	double many = bench_enrolment(clients, seconds, 100, &many_ms);
	double delete_ms = bench_deletion();
	struct beside besides[] = {{.name = "nobody"}, {.name = "deletions", .change = delete_people},
	        {.name = "enrolments", .change = enroll}};

	bench_beside(besides, FM_ARRAY_SIZE(besides), seconds);
	fm_gallery_close(gallery);
	snprintf(path, sizeof(path), "rm -r '%s'", directory);
	if (system(path) != 0)
		perror(path);
	printf(json ? "{\"faces\":%zu,\"dim\":%zu,\"load_ms\":%.1f,\"enrol_1_per_s\":%.0f,\"enrol_1_ms\":%."
	              "2f,"
	              "\"clients\":%zu,\"enrol_per_s\":%.0f,\"enrol_ms\":%.2f,\"delete_person_ms\":%.2f,"
	              "\"searches_beside\":{"
	            : "%zu faces of %zu dimensions: read in %.1f ms\n"
	              "enrolment, one client: %.0f a second, %.2f ms each\n"
	              "enrolment, %zu clients: %.0f a second, %.2f ms each\n"
	              "deleting a person: %.2f ms\n",
	        faces, dim, load_ms, one, one_ms, clients, many, many_ms, delete_ms);
	for (size_t i = 0; i < FM_ARRAY_SIZE(besides); i++)
		printf(json ? "%s\"%s\":{\"changes_per_s\":%.0f,\"median_ms\":%.2f,\"p99_ms\":%.2f}"
		            : "%ssearching beside %s, %.0f a second: median %.2f ms, p99 %.2f ms\n",
		        json && i ? "," : "", besides[i].name, besides[i].changes_per_s, besides[i].median_ms,
		        besides[i].p99_ms);
	if (json)
		puts("}}");
	return 0;
}
