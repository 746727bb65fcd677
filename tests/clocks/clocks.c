// A program that reads its clocks in every way that C has, for tests of clock skew.
//
//   clocks ask              for each line of input, a line of all clocks. The line "fork" makes a child answer
//                           from then on; "exec" makes the program anew.
//   clocks hammer SECS NANOS  threads read clocks as fast as they can until the input ends. Each reading of the wall
//                           clock must be the true time or the true time plus the offset; the last line counts them.
//   clocks word AT SIZE     writes eight bytes again and again through /proc/self/mem, SIZE of them at once, at this
//                           place in a cache line, while another thread reads all eight; counts readings of a mixture.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

typedef int64_t nanos;

static nanos of(struct timespec t) { return t.tv_sec * SECOND + t.tv_nsec; }

static nanos read_clock(clockid_t id) {
  struct timespec t;
  if (clock_gettime(id, &t)) abort();
  if (t.tv_nsec < 0 || t.tv_nsec >= SECOND) abort(); // not normalised
  return of(t);
}

static nanos by_system_call(clockid_t id) {
  struct timespec t;
  if (syscall(SYS_clock_gettime, id, &t)) abort();
  return of(t);
}

static void say(const char *name, nanos value) { printf("%s=%lld ", name, (long long)value); }

static void ask(char **argv) {
  char line[64];
  setvbuf(stdin, NULL, _IONBF, 0); // what a program has read ahead is lost when it executes another
  while (fgets(line, sizeof line, stdin)) {
    if (!strncmp(line, "fork", 4)) {
      pid_t child = fork();
      if (child) {
        waitpid(child, NULL, 0);
        return;
      }
    }
    if (!strncmp(line, "exec", 4)) execv(argv[0], argv);
    struct timeval tv = {-1, -1}, only = {-1, -1};
    struct timezone zone = {-1, -1}, alone = {-1, -1};
    time_t stored = -1;
    int both = gettimeofday(&tv, &zone), no_zone = gettimeofday(&only, NULL);
    int no_time = gettimeofday(NULL, &alone), neither = gettimeofday(NULL, NULL);
    time_t returned = time(&stored), unstored = time(NULL);
    struct timespec unknown = {-1, -1};
    int refused = clock_gettime(99, &unknown);
    nanos true_before = by_system_call(CLOCK_REALTIME), realtime = read_clock(CLOCK_REALTIME);
    say("true_after", by_system_call(CLOCK_REALTIME));
    say("true_before", true_before);
    say("realtime", realtime);
    say("coarse", read_clock(CLOCK_REALTIME_COARSE));
    say("tai", read_clock(CLOCK_TAI));
    say("gettimeofday", tv.tv_sec * SECOND + tv.tv_usec * 1000);
    say("no_zone", only.tv_sec * SECOND + only.tv_usec * 1000);
    say("time", returned * SECOND);
    say("stored", stored * SECOND);
    say("unstored", unstored * SECOND);
    say("true_monotonic", by_system_call(CLOCK_MONOTONIC));
    say("monotonic", read_clock(CLOCK_MONOTONIC));
    say("boottime", read_clock(CLOCK_BOOTTIME));
    say("cpu", read_clock(CLOCK_PROCESS_CPUTIME_ID));
    say("untouched", unknown.tv_sec == -1);
    say("zone", alone.tz_minuteswest == zone.tz_minuteswest && zone.tz_dsttime != -1);
    say("pid", getpid());
    printf("codes=%d,%d,%d,%d,%d\n", both, no_zone, no_time, neither, refused);
    fflush(stdout);
  }
}

static volatile int over;
static nanos offset, base; // base: wall clock less monotonic clock, in truth


enum way { REALTIME, COARSE, GETTIMEOFDAY, TIME, WAYS };

struct counts {
  enum way way;
  uint64_t readings, skewed, wrong, monotonic_wrong;
  nanos first_wrong;
};

static nanos wall(enum way way) {
  struct timeval tv;
  switch (way) {
  case REALTIME: return read_clock(CLOCK_REALTIME);
  case COARSE: return read_clock(CLOCK_REALTIME_COARSE);
  case GETTIMEOFDAY:
    if (gettimeofday(&tv, NULL) || tv.tv_usec < 0 || tv.tv_usec >= 1000000) abort();
    return tv.tv_sec * SECOND + tv.tv_usec * 1000;
  default: return time(NULL) * SECOND;
  }
}

static void *hammer(void *argument) {
  struct counts *c = argument;
  // What a reading may be behind by its nature; and what the true clock may be slewed meanwhile.
  nanos coarse = c->way == TIME ? 2 * SECOND : c->way == COARSE ? SECOND : 1000, slew = 20000000;
  nanos last = 0;
  while (!over) {
    nanos before = read_clock(CLOCK_MONOTONIC), truth = 0;
    if (c->readings % 64 == 0) truth = by_system_call(CLOCK_MONOTONIC);
    nanos seen = wall(c->way), after = read_clock(CLOCK_MONOTONIC);
    c->monotonic_wrong += before < last || after < before || (truth && (truth < before || truth > after));
    last = after;
    nanos low = before + base - coarse - slew, high = after + base + slew;
    int is_true = seen >= low && seen <= high, is_skewed = seen >= low + offset && seen <= high + offset;
    c->readings++;
    c->skewed += is_skewed;
    if (!is_true && !is_skewed && !c->wrong++) c->first_wrong = seen - before - base;
  }
  return NULL;
}

static char lines[128] __attribute__((aligned(64)));
static const uint64_t one = 0x0123456789abcdef, other = 0xfedcba9876543210;

static void *read_word(void *place) {
  volatile uint64_t *word = place;
  static uint64_t torn;
  while (!over) {
    uint64_t seen = *word;
    torn += seen != one && seen != other;
  }
  return &torn;
}

static int write_word(int at, int size) {
  char *place = lines + at;
  memcpy(place, &one, 8);
  int memory = open("/proc/self/mem", O_RDWR);
  pthread_t reader;
  if (memory < 0 || pthread_create(&reader, NULL, read_word, place)) abort();
  for (int i = 0; i < 300000; i++) {
    const char *bytes = (const char *)(i % 2 ? &one : &other);
    for (int done = 0; done < 8; done += size)
      if (pwrite(memory, bytes + done, size, (off_t)(uintptr_t)(place + done)) != size) abort();
  }
  over = 1;
  void *torn;
  pthread_join(reader, &torn);
  printf("torn=%lu\n", *(uint64_t *)torn);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "ask")) return ask(argv), 0;
  if (argc != 4) return 2;
  if (!strcmp(argv[1], "word")) return write_word(atoi(argv[2]), atoi(argv[3]));
  offset = atoll(argv[2]) * SECOND + atoll(argv[3]);
  base = by_system_call(CLOCK_REALTIME) - by_system_call(CLOCK_MONOTONIC);
  pthread_t threads[WAYS];
  struct counts counts[WAYS] = {0};
  for (int i = 0; i < WAYS; i++) {
    counts[i].way = i;
    if (pthread_create(&threads[i], NULL, hammer, &counts[i])) abort();
  }
  puts("hammering");
  fflush(stdout);
  while (getchar() != EOF) {}
  over = 1;
  for (int i = 0; i < WAYS; i++) {
    pthread_join(threads[i], NULL);
    printf("way=%d readings=%lu skewed=%lu wrong=%lu monotonic_wrong=%lu first_wrong=%ld\n", i, counts[i].readings,
           counts[i].skewed, counts[i].wrong, counts[i].monotonic_wrong, counts[i].first_wrong);
  }
  return 0;
}
