/* Loaded before the C library (LD_PRELOAD), it moves the date by CLOCK_SHIFT seconds in a process and its children.
   Pauses and time limits, which go by the monotonic clock, stay as they are. Used by .ci/dates. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
  static long seconds;
  static int known;
  if (!known) {
    const char *text = getenv("CLOCK_SHIFT");
    seconds = text ? atol(text) : 0;
    known = 1;
  }
  return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return result;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec moment;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &moment) != 0) return -1;
  now->tv_sec = moment.tv_sec;
  now->tv_usec = moment.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *where) {
  struct timespec moment;
  if (clock_gettime(CLOCK_REALTIME, &moment) != 0) return (time_t)-1;
  if (where) *where = moment.tv_sec;
  return moment.tv_sec;
}
