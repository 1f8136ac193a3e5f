/* The clock of one process of a test: loaded before libc (LD_PRELOAD), it lets the time of day be as many seconds off as
   the first eight bytes of the file TEST_CLOCK say, from one reading to the next. Timers go on as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *off;

__attribute__((constructor)) static void wind_up(void) {
    const char *path = getenv("TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *bytes = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) {
        perror("TEST_CLOCK");
        abort();
    }
    close(file);
    off = bytes;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && off)
        now->tv_sec += *off;
    return failed;
}
