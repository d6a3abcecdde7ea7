#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "placement.h"

/* Stacks of the threads that are started here: no frame of the library is larger than 16 KiB, but
 * what the address sanitizer makes of it. */
#define STACK_BYTES ((size_t)1 << 20)

/* Looks at whether a thread that has ended still counts. */
#define LOOKS 10000

/* With stacks of that size, or of the default one where the system refuses it. */
static int start(pthread_t *thread, size_t stack_bytes, void *(*fn)(void *), void *argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return 0;
  if (stack_bytes > 0) pthread_attr_setstacksize(&attributes, stack_bytes);
  const int status = pthread_create(thread, &attributes, fn, argument);
  pthread_attr_destroy(&attributes);
  return status == 0;
}

typedef struct waiter {
  pthread_t thread;
  pthread_mutex_t *gate;
  long id;
} waiter;

static void *wait_at_gate(void *argument) {
  waiter *self = argument;
#ifdef __linux__
  self->id = syscall(SYS_gettid);
#endif
  pthread_mutex_lock(self->gate);
  pthread_mutex_unlock(self->gate);
  return NULL;
}

/* Linux counts a thread against the limits for a moment after it was joined. */
static void await_end(long id) {
#ifdef __linux__
  const long process = getpid();
  for (int i = 0; i < LOOKS && syscall(SYS_tgkill, process, id, 0) == 0; i++) spk_yield();
#else
  (void)id;
#endif
}

int spk_startable_threads(int wanted, size_t stack_bytes) {
  waiter waiters[SPK_MOST_THREADS];
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  int count = 0;
  pthread_mutex_lock(&gate);
  while (count < wanted && count < SPK_MOST_THREADS) {
    waiters[count].gate = &gate;
    if (!start(&waiters[count].thread, stack_bytes, wait_at_gate, &waiters[count])) break;
    count++;
  }
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < count; i++) pthread_join(waiters[i].thread, NULL);
  for (int i = 0; i < count; i++) await_end(waiters[i].id);
  return count;
}

typedef struct runner {
  pthread_t thread;
  void (*run)(void *context, int worker);
  void *context;
  int worker;
} runner;

static void *run_worker(void *argument) {
  const runner *self = argument;
  self->run(self->context, self->worker);
  return NULL;
}

void spk_run_on_threads(int workers, void (*run)(void *context, int worker), void *context) {
  runner others[SPK_MOST_THREADS];
  int count = 0;
  while (count < workers - 1 && count < SPK_MOST_THREADS) {
    others[count] = (runner){.run = run, .context = context, .worker = count + 1};
    if (!start(&others[count].thread, STACK_BYTES, run_worker, &others[count])) break;
    count++;
  }
  run(context, 0);
  for (int i = 0; i < count; i++) pthread_join(others[i].thread, NULL);
}
