/*
 * Changes in groups. Who has a change puts it into a queue; the first becomes the leader, makes every change
 * that is queued in one transaction and commits once, so that however many writers wait, they share one wait
 * for the disk. While the leader waits for it the next group gathers, whose first member leads it then.
 */
#include "lib/gallery/internal.h"

#include <errno.h>
#include <time.h>

#include "lib/base/banned.h"

#define GROUP_MAX 256
/* How long a deletion waits for readers of the old state before it leaves the log to somebody later. */
#define ERASE_WAIT_MS   100
#define BUSY_TIMEOUT_MS 5000

/* A change that waits; lives on its thread's stack. */
struct fm_member {
	const struct fm_change *change;
	struct fm_member *next;
	pthread_cond_t changed; /* with queue_lock: done, or leads */
	bool done, leads;
	enum fm_status status;
	struct fm_error *err;
};

/* A read that has lasted is an export or the like, for which nobody else should wait. Under pool_lock. */
static bool somebody_reads_long(const struct fm_gallery *gallery)
{
	int64_t now_ms = fm_monotonic_ms();

	for (size_t i = 0; i < FM_GALLERY_READERS; i++) {
		int64_t since_ms = gallery->readers[i].busy_since_ms;

		if (since_ms && now_ms - since_ms > ERASE_WAIT_MS)
			return true;
	}
	return false;
}

/* Keeps new readers out and waits for those at work; false, with nobody kept out, when they take longer. */
static bool hold_readers(struct fm_gallery *gallery, int wait_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += wait_ms * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&gallery->pool_lock);
	if (somebody_reads_long(gallery)) {
		pthread_mutex_unlock(&gallery->pool_lock);
		return false;
	}
	gallery->held = true;
	while (gallery->idle_count < FM_GALLERY_READERS &&
	        pthread_cond_timedwait(&gallery->pool_changed, &gallery->pool_lock, &until) == 0)
		;
	bool alone = gallery->held = gallery->idle_count == FM_GALLERY_READERS;

	if (!alone)
		pthread_cond_broadcast(&gallery->pool_changed);
	pthread_mutex_unlock(&gallery->pool_lock);
	return alone;
}

static void release_readers(struct fm_gallery *gallery, bool erase_owed)
{
	pthread_mutex_lock(&gallery->pool_lock);
	gallery->held = false;
	gallery->erase_owed = erase_owed;
	pthread_cond_broadcast(&gallery->pool_changed);
	pthread_mutex_unlock(&gallery->pool_lock);
}

/*
 * A commit only appends to the log, so deleted bytes stay in older frames of it until a checkpoint copies the
 * zeroed pages into the database and empties the log. The copying and syncing runs beside readers; emptying
 * needs a moment without any. Where a reader of the old state outlasts wait_ms, the next change, the last
 * reader to finish, or the close does it.
 */
bool fm_erase_log(struct fm_gallery *gallery, int wait_ms)
{
	sqlite3 *db = gallery->writer.db;
	bool emptied = false;

	sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (hold_readers(gallery, wait_ms)) {
		sqlite3_busy_timeout(db, wait_ms); /* for other processes */
		emptied = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
		          SQLITE_OK;
		sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	}
	release_readers(gallery, !emptied);
	return emptied;
}

static bool owes_erasure(struct fm_gallery *gallery)
{
	pthread_mutex_lock(&gallery->pool_lock);
	bool owed = gallery->erase_owed;

	pthread_mutex_unlock(&gallery->pool_lock);
	return owed;
}

static void fail_member(struct fm_member *member, enum fm_status status, const struct fm_error *err)
{
	member->status = status;
	if (member->err)
		*member->err = *err;
}

/* Makes one change of a transaction, or leaves the transaction as it was before; false: all of it is lost. */
static bool run_member(struct fm_connection *writer, struct fm_member *member)
{
	const struct fm_change *change = member->change;
	enum fm_status status = fm_execute(writer, FM_SQL_SAVEPOINT, NULL, 0, member->err);

	if (status == FM_OK) {
		status = change->run(writer, change->context, member->err);
		/* Some errors (a full disk) have rolled back everything already. */
		if (status != FM_OK && !sqlite3_get_autocommit(writer->db) &&
		        fm_execute(writer, FM_SQL_ROLLBACK_TO, NULL, 0, NULL) != FM_OK)
			fm_execute(writer, FM_SQL_ROLLBACK, NULL, 0, NULL);
		if (!sqlite3_get_autocommit(writer->db)) {
			enum fm_status released = fm_execute(
			        writer, FM_SQL_RELEASE, NULL, 0, status == FM_OK ? member->err : NULL);

			status = status == FM_OK ? released : status;
		}
	}
	member->status = status;
	return !sqlite3_get_autocommit(writer->db);
}

enum outcome { COMMITTED, NOT_BEGUN, LOST };

/* Unless COMMITTED nothing is on disk; NOT_BEGUN sets every member's status, LOST that of one. */
static enum outcome commit_group(struct fm_connection *writer, struct fm_member *first, size_t count)
{
	struct fm_member *member = first;
	struct fm_error err = {0};
	enum fm_status status = fm_execute(writer, FM_SQL_BEGIN_WRITE, NULL, 0, &err);

	for (size_t i = 0; i < count; i++, member = member->next) {
		if (status == FM_OK && !run_member(writer, member))
			return LOST;
		if (status != FM_OK)
			fail_member(member, status, &err);
	}
	if (status != FM_OK)
		return NOT_BEGUN;
	status = fm_execute(writer, FM_SQL_COMMIT, NULL, 0, &err);
	if (status == FM_OK)
		return COMMITTED;
	if (!sqlite3_get_autocommit(writer->db)) /* a failed COMMIT has not rolled back */
		fm_execute(writer, FM_SQL_ROLLBACK, NULL, 0, NULL);
	fail_member(first, status, &err);
	return LOST;
}

static bool is_full(enum outcome outcome, const struct fm_member *only)
{
	return outcome == LOST && only->status == FM_E_STORAGE_FULL;
}

/* Commits `count` members from `first` on and sets their status. */
static void lead(struct fm_gallery *gallery, struct fm_member *first, size_t count)
{
	struct fm_connection *writer = &gallery->writer;
	struct fm_member *member = first;
	enum outcome outcome = commit_group(writer, first, count);
	bool erased = false;

	if (outcome == LOST && count > 1) {
		/* One member's misfortune is not the others': each for itself. */
		for (size_t i = 0; i < count; i++) {
			struct fm_member *next = member->next;

			lead(gallery, member, 1);
			member = next;
		}
		return;
	}
	/* What a full disk still has: the log, once it is in the database, and for deletions the reserve. */
	if (is_full(outcome, first) && fm_erase_log(gallery, ERASE_WAIT_MS))
		outcome = commit_group(writer, first, count);
	if (is_full(outcome, first) && first->change->erases && fm_reserve_give_up(&gallery->reserve))
		outcome = commit_group(writer, first, count);
	if (outcome != COMMITTED)
		return;
	for (size_t i = 0; i < count; i++, member = member->next) {
		const struct fm_change *change = member->change;

		if (member->status != FM_OK)
			continue;
		erased |= change->erases;
		if (change->applied)
			member->status = change->applied(gallery, change->context, member->err);
	}
	if (erased || owes_erasure(gallery))
		fm_erase_log(gallery, erased ? ERASE_WAIT_MS : 0);
	fm_reserve_take(&gallery->reserve);
}

/* Takes the queue, at most GROUP_MAX of it, leads it, and hands what came meanwhile to its first. */
static void lead_queue(struct fm_gallery *gallery)
{
	struct fm_member *first = gallery->first, *member = first;
	size_t count = 1;

	while (member->next && count < GROUP_MAX) {
		member = member->next;
		count++;
	}
	gallery->first = member->next;
	if (!gallery->first)
		gallery->last = NULL;
	member->next = NULL;
	pthread_mutex_unlock(&gallery->queue_lock);

	pthread_mutex_lock(&gallery->write_lock);
	lead(gallery, first, count);
	pthread_mutex_unlock(&gallery->write_lock);

	pthread_mutex_lock(&gallery->queue_lock);
	while (first) {
		struct fm_member *next = first->next; /* a member that is done may be gone at once */

		first->done = true;
		pthread_cond_signal(&first->changed);
		first = next;
	}
	gallery->led = gallery->first != NULL;
	if (gallery->led) {
		gallery->first->leads = true;
		pthread_cond_signal(&gallery->first->changed);
	}
}

enum fm_status fm_gallery_change(
        struct fm_gallery *gallery, const struct fm_change *change, struct fm_error *err)
{
	struct fm_member member = {.change = change, .err = err, .changed = PTHREAD_COND_INITIALIZER};

	pthread_mutex_lock(&gallery->queue_lock);
	if (gallery->last)
		gallery->last->next = &member;
	else
		gallery->first = &member;
	gallery->last = &member;
	if (!gallery->led)
		gallery->led = member.leads = true;
	while (!member.done && !member.leads)
		pthread_cond_wait(&member.changed, &gallery->queue_lock);
	if (member.leads)
		lead_queue(gallery);
	pthread_mutex_unlock(&gallery->queue_lock);
	pthread_cond_destroy(&member.changed);
	return member.status;
}

void fm_gallery_tidy(struct fm_gallery *gallery)
{
	if (!owes_erasure(gallery))
		return;
	pthread_mutex_lock(&gallery->write_lock);
	fm_erase_log(gallery, ERASE_WAIT_MS);
	pthread_mutex_unlock(&gallery->write_lock);
}
