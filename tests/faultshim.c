/* Counts the calls by which a process changes files, and makes one of them go wrong.

   Preloaded into a test's processes only. `strace -e inject` does the same, but counts each thread
   and each call by itself, and so cannot name "the 37th change" of a program with threads.

   Actions: 0 count, 1 SIGKILL before the call, 2 fail with errno once, 3 fail with errno from then
   on, 4 take only half of a write. `kinds` is a mask, `path` a part of the path that is meant. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, RENAME = 4, UNLINK = 8, MKDIR = 16, CREATE = 32, TRUNCATE = 64, OPEN = 128 };

static atomic_long counter;
static long target;
static int action, code, kinds, armed, log_fd = -1;
static char wanted[512];

long shim_count(void) { return counter; }

void shim_arm(long at, int what, int error, int mask, const char *path, int log) {
    counter = 0;
    target = at;
    action = what;
    code = error;
    kinds = mask;
    log_fd = log;
    snprintf(wanted, sizeof wanted, "%s", path);
    armed = 1;
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, buffer, size - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

/* Returns the action to take, 0 for none. */
static int hit(int kind, const char *path) {
    if (!armed || !(kinds & kind) || (wanted[0] && !strstr(path, wanted))) return 0;
    long number = atomic_fetch_add(&counter, 1) + 1;
    if (log_fd >= 0) {
        char line[700];
        int length = snprintf(line, sizeof line, "%ld %d %s\n", number, kind, path);
        static ssize_t (*real)(int, const void *, size_t);
        if (!real) real = dlsym(RTLD_NEXT, "write");
        real(log_fd, line, length);
    }
    if (action == 1 && number == target) kill(getpid(), SIGKILL);
    if ((action == 2 || action == 4) && number == target) return action;
    if (action == 3 && number >= target) return action;
    return 0;
}

static int hit_fd(int kind, int fd) {
    if (!armed || !(kinds & kind)) return 0;
    struct stat found;
    if (fstat(fd, &found) || !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) return 0;
    char path[4096];
    return hit(kind, path_of(fd, path, sizeof path));
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, #name)
#define FAIL do { errno = code; return -1; } while (0)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t);
    switch (fd > 2 && fd != log_fd ? hit_fd(WRITE, fd) : 0) {
    case 0: return real(fd, data, n);
    case 4: return real(fd, data, n / 2 ? n / 2 : n);
    default: FAIL;
    }
}

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t n, offset_type at) { \
        REAL(ssize_t, name, int, const void *, size_t, offset_type); \
        switch (hit_fd(WRITE, fd)) { \
        case 0: return real(fd, data, n, at); \
        case 4: return real(fd, data, n / 2 ? n / 2 : n, at); \
        default: FAIL; \
        } \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define ON_FD(name, kind) \
    int name(int fd) { \
        REAL(int, name, int); \
        if (hit_fd(kind, fd)) FAIL; \
        return real(fd); \
    }
ON_FD(fsync, SYNC)
ON_FD(fdatasync, SYNC)

#define TRUNC(name, offset_type) \
    int name(int fd, offset_type length) { \
        REAL(int, name, int, offset_type); \
        if (hit_fd(TRUNCATE, fd)) FAIL; \
        return real(fd, length); \
    }
TRUNC(ftruncate, off_t)
TRUNC(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (hit(RENAME, to)) FAIL;
    return real(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    if (hit(RENAME, to)) FAIL;
    return real(a, from, b, to);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (hit(UNLINK, path)) FAIL;
    return real(path);
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    if (hit(UNLINK, path)) FAIL;
    return real(path);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    if (hit(MKDIR, path)) FAIL;
    return real(path, mode);
}

#define OPEN_BODY(name) \
    REAL(int, name, const char *, int, ...); \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, int); \
        va_end(more); \
    } \
    if (hit(flags & O_CREAT ? CREATE : OPEN, path)) FAIL; \
    return real(path, flags, mode)
int open(const char *path, int flags, ...) { OPEN_BODY(open); }
int open64(const char *path, int flags, ...) { OPEN_BODY(open64); }
