/* A library to preload: reading files whose path contains $BAD_DISK fails with the error number $BAD_DISK_ERRNO; looking
   into a folder whose path contains $HANGING_DISK never ends. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_bad(int fd) {
    const char *part = getenv("BAD_DISK"), *number = getenv("BAD_DISK_ERRNO");
    char link[64], path[4096];
    if (!part || !*part) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    if (!strstr(path, part)) return 0;
    errno = number ? atoi(number) : EIO;
    return 1;
}

ssize_t read(int fd, void *buffer, size_t size) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    return is_bad(fd) ? -1 : real(fd, buffer, size);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t at) {
    static ssize_t (*real)(int, void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread");
    return is_bad(fd) ? -1 : real(fd, buffer, size, at);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t at) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    return is_bad(fd) ? -1 : real(fd, buffer, size, at);
}

DIR *opendir(const char *name) {
    static DIR *(*real)(const char *);
    const char *part = getenv("HANGING_DISK");
    if (!real) real = dlsym(RTLD_NEXT, "opendir");
    while (part && *part && strstr(name, part)) pause();
    return real(name);
}
