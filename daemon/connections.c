#include "daemon/connections.h"

#include "daemon/address.h"
#include "lib/base/mem.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/banned.h"

#define CHAINS       4096 /* a power of two */
#define NOBODY       (-1)
#define LOOK_EVERY_S 1.0

struct entry {
	enum { FREE, ADMITTED, STARTED } state;
	bool counted; /* its address is: Unix sockets have none */
	uint8_t name[FM_ADDRESS_NAME_BYTES];
	int before, after; /* in the chain of its address */
	double deadline_s;
	bool ended; /* seen at the last look: nothing left to read, and nothing to come */
};

struct fm_connections {
	pthread_mutex_t lock;
	size_t count, capacity;
	double looked_s;
	struct entry *entries; /* [capacity], by descriptor */
	int chains[CHAINS];    /* the first descriptor of each, or NOBODY */
};

double fm_connections_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

enum fm_status fm_connections_create(struct fm_connections **ret_connections, struct fm_error *err)
{
	struct fm_connections *connections = fm_calloc(1, sizeof(*connections));

	if (!connections)
		return fm_fail(err, FM_E_NOMEM, "no memory for connections");
	pthread_mutex_init(&connections->lock, NULL);
	for (size_t i = 0; i < CHAINS; i++)
		connections->chains[i] = NOBODY;
	*ret_connections = connections;
	return FM_OK;
}

void fm_connections_free(struct fm_connections *connections)
{
	if (!connections)
		return;
	pthread_mutex_destroy(&connections->lock);
	free(connections->entries);
	free(connections);
}

static int *chain_of(struct fm_connections *connections, const uint8_t name[FM_ADDRESS_NAME_BYTES])
{
	uint64_t halves[2];

	memcpy(halves, name, sizeof(halves));
	uint64_t hash = (halves[0] ^ halves[1] * 0x9e3779b97f4a7c15U) * 0xbf58476d1ce4e5b9U;
	return &connections->chains[hash >> 32 & (CHAINS - 1)];
}

/* Holds the lock. */
static void forget(struct fm_connections *connections, int fd)
{
	struct entry *entry = &connections->entries[fd];

	if (entry->state == FREE)
		return;
	if (entry->counted) {
		if (entry->before == NOBODY)
			*chain_of(connections, entry->name) = entry->after;
		else
			connections->entries[entry->before].after = entry->after;
		if (entry->after != NOBODY)
			connections->entries[entry->after].before = entry->before;
	}
	entry->state = FREE;
	connections->count--;
}

static bool grow(struct fm_connections *connections, size_t wanted)
{
	size_t capacity = wanted + wanted / 2 + 64;

	if (wanted <= connections->capacity)
		return true;
	struct entry *entries = realloc(connections->entries, capacity * sizeof(*entries));
	if (!entries)
		return false;
	memset(entries + connections->capacity, 0, (capacity - connections->capacity) * sizeof(*entries));
	connections->entries = entries;
	connections->capacity = capacity;
	return true;
}

static size_t count_of(struct fm_connections *connections, const uint8_t name[FM_ADDRESS_NAME_BYTES])
{
	size_t count = 0;

	for (int at = *chain_of(connections, name); at != NOBODY; at = connections->entries[at].after)
		count += memcmp(connections->entries[at].name, name, FM_ADDRESS_NAME_BYTES) == 0;
	return count;
}

static void remember(
        struct fm_connections *connections, int fd, const struct sockaddr *address, double deadline_s)
{
	struct entry *entry = &connections->entries[fd];

	*entry = (struct entry){.state = ADMITTED,
	        .counted = fm_address_is_ip(address),
	        .before = NOBODY,
	        .after = NOBODY,
	        .deadline_s = deadline_s};
	connections->count++;
	if (!entry->counted)
		return;
	fm_address_name(address, entry->name);
	int *chain = chain_of(connections, entry->name);
	entry->after = *chain;
	if (*chain != NOBODY)
		connections->entries[*chain].before = fd;
	*chain = fd;
}

enum fm_status fm_connections_admit(struct fm_connections *connections, int fd,
        const struct sockaddr *address, size_t maximum, size_t address_maximum, double deadline_s,
        struct fm_error *err)
{
	uint8_t name[FM_ADDRESS_NAME_BYTES];
	enum fm_status status = FM_OK;

	fm_address_name(address, name);
	pthread_mutex_lock(&connections->lock);
	if (!grow(connections, (size_t)fd + 1)) {
		status = fm_fail(err, FM_E_NOMEM, "no memory for a connection");
	} else {
		/* The descriptor is new: whatever had its number before has gone. */
		forget(connections, fd);
		if (connections->count >= maximum)
			status = fm_fail(err, FM_E_BUSY, "%zu connections are open", maximum);
		else if (fm_address_is_ip(address) && count_of(connections, name) >= address_maximum)
			status = fm_fail(
			        err, FM_E_BUSY, "%zu connections of one address are open", address_maximum);
		else
			remember(connections, fd, address, deadline_s);
	}
	pthread_mutex_unlock(&connections->lock);
	return status;
}

void fm_connections_started(struct fm_connections *connections, int fd)
{
	pthread_mutex_lock(&connections->lock);
	if (connections->entries[fd].state == ADMITTED)
		connections->entries[fd].state = STARTED;
	pthread_mutex_unlock(&connections->lock);
}

void fm_connections_deadline(struct fm_connections *connections, int fd, double deadline_s)
{
	pthread_mutex_lock(&connections->lock);
	connections->entries[fd].deadline_s = deadline_s;
	connections->entries[fd].ended = false;
	pthread_mutex_unlock(&connections->lock);
}

void fm_connections_release(struct fm_connections *connections, int fd)
{
	pthread_mutex_lock(&connections->lock);
	forget(connections, fd);
	pthread_mutex_unlock(&connections->lock);
}

/*
 * True at the second look that finds the client gone: one that says "I have no more to send" and then reads
 * its reply is let be while its request is on the way to a worker, which has no deadline.
 */
static bool has_left(struct entry *entry, int fd)
{
	char byte;
	bool ended = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0, before = entry->ended;

	entry->ended = ended;
	return ended && before;
}

size_t fm_connections_reap(struct fm_connections *connections, double now_s)
{
	size_t reaped = 0;

	pthread_mutex_lock(&connections->lock);
	bool look = now_s - connections->looked_s >= LOOK_EVERY_S;
	if (look)
		connections->looked_s = now_s;
	for (size_t i = 0; i < connections->capacity; i++) {
		struct entry *entry = &connections->entries[i];
		bool reads = entry->state == STARTED && entry->deadline_s < INFINITY;
		if (look && reads && has_left(entry, (int)i)) {
			shutdown((int)i, SHUT_RDWR);
			entry->deadline_s = INFINITY;
			continue;
		}
		if (entry->state == FREE || entry->deadline_s > now_s)
			continue;
		/* One that never started has been closed already, and its number may be another file's. */
		if (entry->state == STARTED)
			shutdown((int)i, SHUT_RDWR);
		else
			forget(connections, (int)i);
		entry->deadline_s = INFINITY;
		reaped++;
	}
	pthread_mutex_unlock(&connections->lock);
	return reaped;
}

size_t fm_connections_count(struct fm_connections *connections)
{
	pthread_mutex_lock(&connections->lock);
	size_t count = connections->count;
	pthread_mutex_unlock(&connections->lock);
	return count;
}
