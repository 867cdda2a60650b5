/* Preloaded into the daemon: regular files take and give less than was asked for, and are interrupted, at random. Short
 * writes are real here: what was not taken is not written, and the rest of the file is as it was. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local uint64_t state;
static uint64_t seed = 1;

/* Before the daemon forgets its environment. */
__attribute__((constructor)) static void read_seed(void) {
    const char *said = getenv("SHORT_CALLS_SEED");
    if (said) seed = strtoull(said, 0, 10);
}

static uint64_t draw(void) {
    if (state == 0) state = seed * 2862933555777941757u + (uint64_t)gettid() + 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* How much of it goes through; 0 for an interruption. */
static size_t share(int fd, size_t count) {
    struct stat about;
    if (count == 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return count;
    uint64_t drawn = draw();
    if (drawn % 4 == 0) return 0;
    return drawn % 4 == 1 ? count : 1 + (drawn >> 8) % count;
}

#define TAKE(count) \
    size_t most = share(fd, count); \
    if (most == 0 && count != 0) { errno = EINTR; return -1; }
#define REAL(name, type) \
    static type real; \
    if (!real) real = (type)dlsym(RTLD_NEXT, name);

typedef ssize_t (*pread_t)(int, void *, size_t, off64_t);
typedef ssize_t (*pwrite_t)(int, const void *, size_t, off64_t);
typedef ssize_t (*write_t)(int, const void *, size_t);

ssize_t pread64(int fd, void *into, size_t count, off64_t at) {
    REAL("pread64", pread_t)
    TAKE(count)
    return real(fd, into, most, at);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    REAL("pwrite64", pwrite_t)
    TAKE(count)
    return real(fd, from, most, at);
}

ssize_t write(int fd, const void *from, size_t count) {
    REAL("write", write_t)
    TAKE(count)
    return real(fd, from, most);
}
