/* Preloaded into the daemon: the wall clock shows what a file says, which is mapped before the daemon gives up all other
 * files. Two numbers of 64 bits: nanoseconds that are added to the clock, and nanoseconds since 1970 at which it stands
 * unless that is 0. The boot clock stays the kernel's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shown;

__attribute__((constructor)) static void map_shown(void) {
    const char *path = getenv("SHOWN_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(0, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) shown = mapped;
}

static void show(struct timespec *time) {
    if (!shown) return;
    int64_t added = shown[0], stands = shown[1];
    int64_t now = stands ? stands : (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + added;
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int answer = (int)syscall(SYS_clock_gettime, clock, time);
    if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) show(time);
    return answer;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int answer = clock_gettime(CLOCK_REALTIME, &precise);
    time->tv_sec = precise.tv_sec;
    time->tv_usec = precise.tv_nsec / 1000;
    return answer;
}

time_t time(time_t *into) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (into) *into = precise.tv_sec;
    return precise.tv_sec;
}
