/*
 * Requests beside the exchange of the serving network, for ThreadSanitizer: people come, are looked for and
 * go while the gallery's faces are brought over to another network and back again, as daemon/reembed.c does
 * it. Who was enrolled is found, and who was deleted is not, under whatever network serves at that moment; in
 * the end the index of the last one holds the gallery's faces. The networks are hashes of the face's id.
 * Exit: 0 when all held.
 */
#include "daemon/people.h"
#include "daemon/serving.h"
#include "lib/base/mem.h"
#include "lib/base/uuid.h"
#include "lib/gallery/jobs.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/banned.h"

enum { EXCHANGES = 20, CLIENTS = 3, FACES_MAX = 60, DIM_MAX = 32, BATCHES_MAX = 100000 };

static const struct network {
	const char *fingerprint;
	size_t dim;
} networks[] = {{"net@0123456789abcdef", 16}, {"net@fedcba9876543210", DIM_MAX}};

static struct fm_gallery *gallery;
static struct fm_people *people;
static struct fm_serving_slot slot;
static pthread_rwlock_t enrolling = PTHREAD_RWLOCK_INITIALIZER;
static int64_t home;
static atomic_bool stop, failed;
static atomic_ulong found, exchanges;

static void fail(const char *what, const struct fm_error *err)
{
	if (!atomic_exchange(&failed, true))
		fprintf(stderr, "stress_serving: %s: %s\n", what, err ? err->message : "wrong");
	atomic_store(&stop, true);
}

/* What the network makes of a face: a unit vector that no other face has. */
static void embed(const char *face_id, size_t dim, float *ret_embedding)
{
	uint64_t state = 0xcbf29ce484222325 + dim;
	double square = 0;

	for (const char *c = face_id; *c; c++)
		state = (state ^ (uint64_t)*c) * 0x100000001b3;
	for (size_t i = 0; i < dim; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		ret_embedding[i] = (float)(state >> 40) / (float)(1 << 24) - 0.5f;
		square += (double)ret_embedding[i] * (double)ret_embedding[i];
	}
	for (size_t i = 0; i < dim; i++)
		ret_embedding[i] = (float)(ret_embedding[i] / sqrt(square));
}

static struct fm_serving *make_serving(const struct network *network)
{
	struct fm_serving *serving = fm_calloc(1, sizeof(*serving));
	struct fm_models *models = fm_calloc(1, sizeof(*models));
	struct fm_model *embedding = fm_calloc(1, sizeof(*embedding));

	if (!serving || !models || !embedding)
		exit(EXIT_FAILURE);
	embedding->dim = network->dim;
	snprintf(embedding->fingerprint, sizeof(embedding->fingerprint), "%s", network->fingerprint);
	models->embedding = embedding;
	serving->models = models;
	atomic_init(&serving->holders, 1);
	return serving;
}

/* ---- clients ---- */

struct client {
	unsigned number;
	char faces[FACES_MAX][FM_UUID_TEXT];
	size_t count;
};

/* Whether the face is the nearest to itself, under the network that serves now. */
static bool is_found(const char *face_id)
{
	struct fm_serving *serving = fm_serving_get(&slot);
	struct fm_index_hit hit = {0};
	struct fm_index_size size;
	struct fm_face_record face;
	float probe[DIM_MAX];
	size_t count = 0;
	struct fm_error err;
	bool same = false;

	embed(face_id, serving->models->embedding->dim, probe);
	if (fm_index_search(serving->index, home, probe, 1, 1, &hit, &count, &size, &err) != FM_OK)
		fail("search", &err);
	if (count && hit.cosine > 0.9999f &&
	        fm_gallery_face_get_by_key(gallery, hit.face_key, &face, &err) == FM_OK) {
		same = strcmp(face.id, face_id) == 0;
		fm_face_record_done(&face);
	}
	fm_serving_put(serving);
	atomic_fetch_add(&found, same);
	return same;
}

static void enroll(struct client *client)
{
	char *id = client->faces[client->count], name[32];
	float embedding[DIM_MAX];
	struct fm_face_insert insert = {
	        .embedding = embedding, .quality = "{}", .box = {0, 0, 1, 1}, .id = id};
	struct fm_person person;
	struct fm_face_record face;
	struct fm_error err;
	bool existed;

	fm_uuid_new(id);
	memcpy(insert.image_sha256, id, sizeof(insert.image_sha256));
	snprintf(name, sizeof(name), "client %u face %zu", client->number, client->count);
	pthread_rwlock_rdlock(&enrolling);
	struct fm_serving *serving = fm_serving_get(&slot);
	insert.model = fm_serving_model(serving);
	insert.dim = serving->models->embedding->dim;
	embed(id, insert.dim, embedding);
	enum fm_status status =
	        fm_gallery_enroll_by_name(gallery, home, name, &insert, &person, &face, &existed, &err);
	fm_serving_put(serving);
	pthread_rwlock_unlock(&enrolling);
	if (status) {
		fail("enroll", &err);
		return;
	}
	client->count++;
	fm_person_done(&person);
	fm_face_record_done(&face);
	if (!is_found(id))
		fail("who was enrolled is not found", NULL);
}

static void *ask(void *argument)
{
	struct client *client = argument;

	for (unsigned turn = client->number; !atomic_load(&stop); turn++) {
		if (client->count < FACES_MAX && turn % 3) {
			enroll(client);
			continue;
		}
		if (client->count == 0)
			continue;
		size_t i = turn % client->count;
		struct fm_error err;
		char gone[FM_UUID_TEXT];
		if (!is_found(client->faces[i]))
			fail("who was enrolled a while ago is not found", NULL);
		memcpy(gone, client->faces[i], sizeof(gone));
		memmove(client->faces[i], client->faces[--client->count], sizeof(gone));
		if (fm_gallery_face_delete(gallery, home, gone, "test", &err) != FM_OK)
			fail("delete", &err);
		if (is_found(gone))
			fail("who was deleted is found", NULL);
	}
	return NULL;
}

/* ---- the exchange ---- */

static enum fm_status bring_over(struct fm_job *job, size_t dim, struct fm_error *err)
{
	static struct fm_reembed_face faces[FM_REEMBED_BATCH_MAX];
	static float embeddings[FM_REEMBED_BATCH_MAX][DIM_MAX];

	for (int batch = 0; batch < BATCHES_MAX; batch++) {
		size_t count;
		enum fm_status status = fm_gallery_reembed_next(gallery, job, faces, &count, err);
		float *rows = &embeddings[0][0];

		if (status || !count)
			return status;
		for (size_t i = 0; i < count; i++) {
			embed(faces[i].id, dim, rows + i * dim);
			faces[i].embedding = rows + i * dim;
		}
		status = fm_gallery_reembed_store(gallery, job, faces, count, dim, err);
		if (status)
			return status;
	}
	return fm_fail(err, FM_E_BUSY, "the job comes to no end");
}

static enum fm_status take_over(
        struct fm_job *job, const struct network *network, struct fm_serving *next, struct fm_error *err)
{
	enum fm_status status = bring_over(job, network->dim, err);

	if (!status)
		status = fm_people_prepare(people, next, err);
	if (status)
		return status;
	status = bring_over(job, network->dim, err);
	pthread_rwlock_wrlock(&enrolling);
	if (!status)
		status = bring_over(job, network->dim, err);
	if (!status)
		status = fm_gallery_models_choose(gallery, network->fingerprint, network->dim, job->id, err);
	if (status) {
		fm_people_abandon(people);
	} else {
		atomic_fetch_add(&next->holders, 1); /* the slot's */
		fm_people_publish(people);
	}
	pthread_rwlock_unlock(&enrolling);
	return status;
}

static void exchange(const struct network *network)
{
	struct fm_serving *next = make_serving(network);
	struct fm_job job = {0};
	struct fm_error err;
	enum fm_status status =
	        fm_gallery_reembed_begin(gallery, network->fingerprint, network->dim, &job, &err);

	if (!status)
		status = take_over(&job, network, next, &err);
	if (status)
		fail("exchange", &err);
	fm_job_done(&job);
	fm_serving_put(next);
	atomic_fetch_add(&exchanges, 1);
}

static void check_end(const struct client *clients)
{
	struct fm_serving *serving = fm_serving_get(&slot);
	struct fm_error err;
	int64_t stored = 0;
	size_t expected = 0;

	for (int i = 0; i < CLIENTS; i++) {
		for (size_t k = 0; k < clients[i].count; k++, expected++) {
			if (!is_found(clients[i].faces[k]))
				fail("who was enrolled is not found in the end", NULL);
		}
	}
	if (fm_gallery_model_faces(gallery, fm_serving_model(serving), &stored, &err) != FM_OK)
		fail("count", &err);
	if ((size_t)stored != expected || fm_index_total(serving->index).faces != expected)
		fail("the number of faces", NULL);
	if (atomic_load(&serving->holders) != 2)
		fail("somebody holds the serving still", NULL);
	fm_serving_put(serving);
}

static enum fm_status open_all(const char *path, struct fm_error *err)
{
	struct fm_serving *first = make_serving(&networks[0]);
	struct fm_collection collection;
	enum fm_status status = fm_gallery_open(path, &gallery, err);

	if (!status)
		status = fm_gallery_collection_get(gallery, FM_GALLERY_DEFAULT_COLLECTION, &collection, err);
	if (status)
		return status;
	home = collection.key;
	fm_collection_done(&collection);
	fm_serving_slot_init(&slot);
	status = fm_gallery_models_choose(gallery, networks[0].fingerprint, networks[0].dim, NULL, err);
	if (!status)
		status = fm_serving_open_index(first, gallery, err);
	fm_serving_exchange(&slot, first);
	return status ? status : fm_people_create(gallery, &slot, &people, err);
}

int main(void)
{
	static struct client clients[CLIENTS];
	char directory[] = "/tmp/fm-stress-XXXXXX", path[64];
	pthread_t threads[CLIENTS];
	struct fm_error err;

	if (!mkdtemp(directory))
		return EXIT_FAILURE;
	snprintf(path, sizeof(path), "%s/gallery.db", directory);
	if (open_all(path, &err)) {
		fprintf(stderr, "stress_serving: %s\n", err.message);
		return EXIT_FAILURE;
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].number = i;
		if (pthread_create(&threads[i], NULL, ask, &clients[i]))
			return EXIT_FAILURE;
	}
	for (int i = 1; i <= EXCHANGES && !atomic_load(&stop); i++)
		exchange(&networks[i % 2]);
	atomic_store(&stop, true);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	check_end(clients);
	fm_people_free(people);
	fm_serving_slot_done(&slot);
	fm_gallery_close(gallery);
	unlink(path);
	rmdir(directory);
	printf("stress_serving: %lu exchanges beside %lu searches that found: %s\n", atomic_load(&exchanges),
	        atomic_load(&found), atomic_load(&failed) ? "FAILED" : "ok");
	return atomic_load(&failed) || atomic_load(&found) == 0;
}
