/*
 * A SQLite VFS over the system's own, for tests of what a failing disk does. Installed, it is the default VFS
 * of the process, and counts every operation that changes a file (write, sync, truncate, delete); reads and
 * locks pass through. Threads: safe; settings are for one test at a time.
 *
 * Faults: the n-th operation, and all after it if wanted, fail with a SQLite code; a write that fails has
 * written half of its bytes.
 *
 * Power cut: at the n-th operation the disk stops. What was synced is on it; of what was written since, an
 * arbitrary part is, sector by sector. vfs_after_power_cut() writes those files into another directory.
 */
#ifndef TESTS_SUPPORT_FAULTY_VFS_H
#define TESTS_SUPPORT_FAULTY_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void vfs_install(void);
void vfs_remove(void); /* every file is closed */

/* Fails the n-th operation from now on (1: the next) with `code`; 0 forgets a fault that was set. */
void vfs_fail(size_t n, int code, bool persistently);
bool vfs_failed(void);       /* whether the fault that was set struck */
size_t vfs_operations(void); /* since vfs_install() or vfs_fail() */

/* Cuts the power at the n-th operation from now on. Files that are open now count as they are. */
void vfs_cut_power(size_t n);
/* Writes what the disk held into `directory`, which exists; `seed` chooses what of the unsynced survived. */
bool vfs_after_power_cut(const char *directory, uint64_t seed);

#endif
