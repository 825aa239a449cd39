#include "tests/support/faulty_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR    512
#define FILES_MAX 8

/* A write or a truncation that no sync has made certain yet. */
struct pending {
	struct pending *next;
	bool truncates;
	size_t offset, length; /* truncates: offset is the size */
	uint8_t bytes[];
};

/* What a disk would hold of one file. */
struct disk_file {
	char path[256];
	uint8_t *bytes;
	size_t size;
	struct pending *first, **last;
	bool deleted;
};

struct file {
	sqlite3_file base;
	struct disk_file *disk; /* NULL while no power cut is simulated, or for a file without a name */
	sqlite3_file *real;     /* behind this struct */
};

static struct {
	pthread_mutex_t lock;
	sqlite3_vfs *system, vfs;
	size_t operations, at; /* at: which one fails; 0: none */
	int code;
	bool persistently, struck, cutting, dark;
	struct disk_file files[FILES_MAX];
	size_t file_count;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Counts an operation; its failure, or SQLITE_OK. Under the lock. */
static int count_operation(void)
{
	state.operations++;
	if (state.dark)
		return SQLITE_IOERR;
	if (!state.at || state.operations < state.at || (state.operations > state.at && !state.persistently))
		return SQLITE_OK;
	state.struck = true;
	if (state.cutting)
		state.dark = true;
	return state.code;
}

static struct disk_file *find_disk_file(const char *path)
{
	for (size_t i = 0; i < state.file_count; i++)
		if (strcmp(state.files[i].path, path) == 0)
			return &state.files[i];
	if (state.file_count == FILES_MAX)
		abort();
	struct disk_file *disk = &state.files[state.file_count++];

	memset(disk, 0, sizeof(*disk));
	snprintf(disk->path, sizeof(disk->path), "%s", path);
	disk->last = &disk->first;
	int fd = open(path, O_RDONLY);
	struct stat status;

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0) {
		disk->bytes = malloc((size_t)status.st_size);
		if (disk->bytes && pread(fd, disk->bytes, (size_t)status.st_size, 0) == status.st_size)
			disk->size = (size_t)status.st_size;
	}
	if (fd >= 0)
		close(fd);
	return disk;
}

static void apply(struct disk_file *disk, size_t offset, const void *bytes, size_t length)
{
	if (offset + length > disk->size) {
		disk->bytes = realloc(disk->bytes, offset + length);
		if (!disk->bytes)
			abort();
		memset(disk->bytes + disk->size, 0, offset + length - disk->size);
		disk->size = offset + length;
	}
	memcpy(disk->bytes + offset, bytes, length);
}

static void remember(struct disk_file *disk, bool truncates, size_t offset, const void *bytes, size_t length)
{
	struct pending *pending = malloc(sizeof(*pending) + length);

	if (!pending)
		abort();
	*pending = (struct pending){.truncates = truncates, .offset = offset, .length = length};
	if (length)
		memcpy(pending->bytes, bytes, length);
	*disk->last = pending;
	disk->last = &pending->next;
}

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* Makes what is pending certain; with `random` only a part of it, sector by sector. */
static void settle(struct disk_file *disk, uint64_t *random)
{
	while (disk->first) {
		struct pending *pending = disk->first;

		disk->first = pending->next;
		if (pending->truncates && (!random || next_random(random) % 2) &&
		        pending->offset < disk->size)
			disk->size = pending->offset;
		for (size_t done = 0, step; done < pending->length; done += step) {
			step = SECTOR - (pending->offset + done) % SECTOR;
			if (step > pending->length - done)
				step = pending->length - done;
			if (!random || next_random(random) % 2)
				apply(disk, pending->offset + done, pending->bytes + done, step);
		}
		free(pending);
	}
	disk->last = &disk->first;
}

static struct file *as_file(sqlite3_file *base)
{
	return (struct file *)base;
}

static sqlite3_file *real_of(sqlite3_file *base)
{
	return as_file(base)->real;
}

static int file_close(sqlite3_file *base)
{
	sqlite3_file *real = real_of(base);

	return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *memory, int length, sqlite3_int64 offset)
{
	return real_of(base)->pMethods->xRead(real_of(base), memory, length, offset);
}

static int file_write(sqlite3_file *base, const void *memory, int length, sqlite3_int64 offset)
{
	struct file *file = as_file(base);

	pthread_mutex_lock(&state.lock);
	int code = count_operation();

	if (code && !state.dark && length > 1)
		file->real->pMethods->xWrite(file->real, memory, length / 2, offset);
	if (file->disk && (!code || state.operations == state.at))
		remember(file->disk, false, (size_t)offset, memory, (size_t)length);
	pthread_mutex_unlock(&state.lock);
	return code ? code : file->real->pMethods->xWrite(file->real, memory, length, offset);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct file *file = as_file(base);

	pthread_mutex_lock(&state.lock);
	int code = count_operation();

	if (file->disk && !code)
		remember(file->disk, true, (size_t)size, NULL, 0);
	pthread_mutex_unlock(&state.lock);
	return code ? SQLITE_IOERR_TRUNCATE : file->real->pMethods->xTruncate(file->real, size);
}

static int file_sync(sqlite3_file *base, int flags)
{
	struct file *file = as_file(base);

	pthread_mutex_lock(&state.lock);
	int code = count_operation();

	if (file->disk && !code)
		settle(file->disk, NULL);
	pthread_mutex_unlock(&state.lock);
	if (code)
		return code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
	return file->real->pMethods->xSync(file->real, flags);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
	return real_of(base)->pMethods->xFileSize(real_of(base), size);
}

static int file_lock(sqlite3_file *base, int level)
{
	return real_of(base)->pMethods->xLock(real_of(base), level);
}

static int file_unlock(sqlite3_file *base, int level)
{
	return real_of(base)->pMethods->xUnlock(real_of(base), level);
}

static int file_check_lock(sqlite3_file *base, int *reserved)
{
	return real_of(base)->pMethods->xCheckReservedLock(real_of(base), reserved);
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
	return real_of(base)->pMethods->xFileControl(real_of(base), operation, argument);
}

static int file_sector_size(sqlite3_file *base)
{
	return real_of(base)->pMethods->xSectorSize(real_of(base));
}

static int file_characteristics(sqlite3_file *base)
{
	return real_of(base)->pMethods->xDeviceCharacteristics(real_of(base));
}

static int file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **memory)
{
	return real_of(base)->pMethods->xShmMap(real_of(base), page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
	return real_of(base)->pMethods->xShmLock(real_of(base), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
	real_of(base)->pMethods->xShmBarrier(real_of(base));
}

static int file_shm_unmap(sqlite3_file *base, int remove)
{
	return real_of(base)->pMethods->xShmUnmap(real_of(base), remove);
}

static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_lock,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *ret_flags)
{
	struct file *file = as_file(base);

	(void)vfs;
	file->real = (sqlite3_file *)(file + 1);
	file->disk = NULL;
	file->base.pMethods = NULL;
	int code = state.system->xOpen(state.system, name, file->real, flags, ret_flags);

	if (code != SQLITE_OK)
		return code;
	pthread_mutex_lock(&state.lock);
	if (name && state.cutting)
		file->disk = find_disk_file(name);
	if (file->disk)
		file->disk->deleted = false;
	pthread_mutex_unlock(&state.lock);
	file->base.pMethods = &methods;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
	(void)vfs;
	pthread_mutex_lock(&state.lock);
	int code = count_operation();

	if (state.cutting && !code) {
		struct disk_file *disk = find_disk_file(name);

		settle(disk, NULL);
		disk->size = 0;
		disk->deleted = true;
	}
	pthread_mutex_unlock(&state.lock);
	return code ? SQLITE_IOERR_DELETE : state.system->xDelete(state.system, name, sync_directory);
}

void vfs_install(void)
{
	state.system = sqlite3_vfs_find(NULL);
	state.vfs = *state.system;
	state.vfs.zName = "faulty";
	state.vfs.pNext = NULL;
	state.vfs.szOsFile = (int)sizeof(struct file) + state.system->szOsFile;
	state.vfs.xOpen = vfs_open;
	state.vfs.xDelete = vfs_delete;
	vfs_fail(0, 0, false);
	sqlite3_vfs_register(&state.vfs, 1);
}

static void forget_disk(void)
{
	for (size_t i = 0; i < state.file_count; i++) {
		settle(&state.files[i], NULL);
		free(state.files[i].bytes);
	}
	state.file_count = 0;
}

void vfs_remove(void)
{
	sqlite3_vfs_unregister(&state.vfs);
	forget_disk();
}

void vfs_fail(size_t n, int code, bool persistently)
{
	pthread_mutex_lock(&state.lock);
	forget_disk();
	state.operations = 0;
	state.at = n;
	state.code = code;
	state.persistently = persistently;
	state.struck = state.cutting = state.dark = false;
	pthread_mutex_unlock(&state.lock);
}

bool vfs_failed(void)
{
	pthread_mutex_lock(&state.lock);
	bool struck = state.struck;

	pthread_mutex_unlock(&state.lock);
	return struck;
}

size_t vfs_operations(void)
{
	pthread_mutex_lock(&state.lock);
	size_t operations = state.operations;

	pthread_mutex_unlock(&state.lock);
	return operations;
}

void vfs_cut_power(size_t n)
{
	vfs_fail(n, SQLITE_IOERR, true);
	pthread_mutex_lock(&state.lock);
	state.cutting = true;
	pthread_mutex_unlock(&state.lock);
}

bool vfs_after_power_cut(const char *directory, uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	bool written = true;

	pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < state.file_count; i++) {
		struct disk_file *disk = &state.files[i];
		const char *name = strrchr(disk->path, '/');
		char path[512];

		settle(disk, &random);
		if (disk->deleted)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, name ? name + 1 : disk->path);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		written &= fd >= 0 && write(fd, disk->bytes, disk->size) == (ssize_t)disk->size;
		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_unlock(&state.lock);
	return written;
}
