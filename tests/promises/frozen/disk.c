/* A disk that is slow, or that stops answering, for a program that is started with this library in
 * LD_PRELOAD. It stands before the calls of the C library that reach files.
 *
 * DISK     the folder that lies on the disk
 * MARKS    a folder elsewhere: `calls` receives the number of calls at the end of the program, and
 *          `frozen` appears when the disk stops answering
 * FREEZE   the number of the call that never returns, as all later ones do not; 0: none
 * DELAY    the milliseconds that each call takes in addition
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static long freeze_at, delay;
static char disk[PATH_MAX], marks[PATH_MAX];

static void mark(const char *name, long number) {
  char path[2 * PATH_MAX], text[32];
  snprintf(path, sizeof path, "%s/%s", marks, name);
  int length = snprintf(text, sizeof text, "%ld", number);
  int file = creat(path, 0644);
  if (file >= 0 && write(file, text, length) == length) close(file);
}

__attribute__((constructor)) static void begin(void) {
  const char *given = getenv("DISK");
  if (!given || !realpath(given, disk)) disk[0] = 0;
  snprintf(marks, sizeof marks, "%s", getenv("MARKS") ? getenv("MARKS") : "");
  freeze_at = getenv("FREEZE") ? atol(getenv("FREEZE")) : 0;
  delay = getenv("DELAY") ? atol(getenv("DELAY")) : 0;
}

__attribute__((destructor)) static void end(void) {
  long number = atomic_load(&calls);
  disk[0] = 0;
  mark("calls", number);
}

static void reach(void) {
  long number = atomic_fetch_add(&calls, 1) + 1;
  if (delay) {
    struct timespec time = {delay / 1000, delay % 1000 * 1000000};
    nanosleep(&time, NULL);
  }
  if (freeze_at && number >= freeze_at) {
    if (number == freeze_at) mark("frozen", number);
    for (;;) pause();
  }
}

/* A path is relative to the folder that the program was started in, or absolute. */
static void at_path(const char *path) {
  int kept = errno;
  if (disk[0] && (path[0] != '/' || !strncmp(path, disk, strlen(disk)))) reach();
  errno = kept;
}

static void at_file(int file) {
  if (!disk[0] || file < 3) return;
  int kept = errno;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length > 0) {
    path[length] = 0;
    if (!strncmp(path, disk, strlen(disk))) reach();
  }
  errno = kept;
}

/* A call of the C library: its type, name, parameters, their names, and where it goes. */
#define CALL(type, name, parameters, arguments, before)                                            \
  type name parameters {                                                                           \
    static type(*real) parameters;                                                                 \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                 \
    before;                                                                                        \
    return real arguments;                                                                         \
  }

#define OPEN(name)                                                                                 \
  int name(const char *path, int flags, ...) {                                                     \
    static int (*real)(const char *, int, ...);                                                    \
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                    \
    va_list rest;                                                                                  \
    va_start(rest, flags);                                                                         \
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;                            \
    va_end(rest);                                                                                  \
    at_path(path);                                                                                 \
    return real(path, flags, mode);                                                                \
  }

OPEN(open)
OPEN(open64)
CALL(DIR *, opendir, (const char *path), (path), at_path(path))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), at_path(path))
CALL(int, rmdir, (const char *path), (path), at_path(path))
CALL(int, unlink, (const char *path), (path), at_path(path))
CALL(int, rename, (const char *from, const char *to), (from, to), at_path(from))
CALL(int, stat, (const char *path, struct stat *out), (path, out), at_path(path))
CALL(int, stat64, (const char *path, struct stat64 *out), (path, out), at_path(path))
CALL(int, statx, (int folder, const char *path, int flags, unsigned mask, struct statx *out),
     (folder, path, flags, mask, out), path && *path ? at_path(path) : at_file(folder))
CALL(ssize_t, read, (int file, void *out, size_t count), (file, out, count), at_file(file))
CALL(ssize_t, pread, (int file, void *out, size_t count, off_t at), (file, out, count, at), at_file(file))
CALL(ssize_t, pread64, (int file, void *out, size_t count, off64_t at), (file, out, count, at), at_file(file))
CALL(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count), at_file(file))
CALL(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at), at_file(file))
CALL(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at), at_file(file))
CALL(int, fsync, (int file), (file), at_file(file))
CALL(int, fdatasync, (int file), (file), at_file(file))
CALL(int, ftruncate64, (int file, off64_t length), (file, length), at_file(file))
