#include "pool.h"

#include <limits.h>
#include <pthread.h>

#include "contention.h"
#include "affinity.h"
#include "system.h"

/* The most jobs at a time.  Callers that find no free job work alone. */
#define JOBS 16

/* How long a waiting thread spins, and how long it then offers its CPU, before it sleeps.  The
 * times are long because a caller that sleeps may be woken on the CPU of the worker that wakes it
 * (leave_cpu). */
#define LOOKING (20 * SPK_MICROSECOND)
#define CALLER_OFFERS (1 * SPK_MILLISECOND)
/* How long a worker waits for its next job: LONG_WAIT if jobs came within that time, else
 * SHORT_WAIT.  To wake a worker takes the caller 8 microseconds and the worker 15 (Zen 4, two
 * virtual CPUs that were idle). */
#define LONG_WAIT (2 * SPK_MILLISECOND)
#define SHORT_WAIT (50 * SPK_MICROSECOND)
/* Looks at a word between two looks at the clock. */
#define LOOKS 16

/* The least gap in the time of a spinning worker that means that the worker lost its CPU.
 * Interrupts of the system take less, and a time slice of another thread takes more. */
#define GAP (200 * SPK_MICROSECOND)
/* A worker lost its CPU in the middle of work if it lost more than GAP and more than 1/LOST_PART of
 * the time that passed. */
#define LOST_PART 4
/* Threads cannot avoid what the host of a virtual machine takes.  So stolen time counts as
 * contention only if the host takes it again and again, more than 1/STOLEN_PART of the time.  When
 * a worker was parked each time that a virtual CPU was gone for a millisecond, which happened
 * several times a second, it was missing for a tenth of the time. */
#define STOLEN_PART 16
/* A worker that comes later than this after it was woken found its CPU busy. */
#define LATE (500 * SPK_MICROSECOND)
/* How long a probe must run undisturbed while it offers the CPU. */
#define PROBE (100 * SPK_MICROSECOND)
/* Threads measure what they lost no more often than every LOST_CHECK.  A caller ignores
 * measurements over more than CALLER_MEMORY. */
#define LOST_CHECK (300 * SPK_MICROSECOND)
#define CALLER_MEMORY (100 * SPK_MILLISECOND)

/* The number of claims before a thread that could not be started is tried again. */
#define POSTPONED 64

/* The state of a job: bits for whether workers may join and whether the caller sleeps, and the
 * number of workers inside. */
#define OPEN 0x10000u
#define CALLER_SLEEPS 0x20000u
#define INSIDE 0xffffu

struct spk_job {
  _Alignas(SPK_ALIGN) atomic_uint state;
  atomic_int disturbed; /* whether a worker inside lost its CPU */
  int bit;
  int threads;
  int parked; /* parked workers that are called as well, because the job was claimed for more
                 threads than run undisturbed */
  int cpu;    /* the CPU of the caller when it opened the job */
  spk_job_fn fn;
  void *context;
  pthread_t caller;
  spk_usage usage; /* what that caller had used of the CPU */
};

static spk_job jobs[JOBS];
static spk_seat seats[JOBS][SPK_MAX_THREADS];
static const spk_cpus *allowed;
#define ALL_JOBS ((1u << JOBS) - 1)
static atomic_uint claimed; /* bits of the jobs that are claimed */

typedef struct worker {
  _Alignas(SPK_ALIGN) pthread_t thread;
  int id;
  int64_t patience;
  spk_usage before;
  int64_t stolen_at; /* when the host last took the CPU of the worker */
  spk_contention contention;
  /* Counts the calls of the worker, which sleeps on this word while it is parked. */
  atomic_uint calls;
  _Atomic(int64_t) probed_at; /* when a probe was asked for; 0: none was */
  atomic_int off; /* the CPU that the worker is kept off because a caller runs there, or MOVING */
} worker;

/* Stands in `off` while a thread changes it. */
#define MOVING (-2)

static worker workers[SPK_MAX_THREADS];

/* Bits of the jobs that may be joined.  Workers without a job sleep on this word while it is 0. */
static _Alignas(SPK_ALIGN) atomic_uint open_jobs;
static _Alignas(SPK_ALIGN) atomic_int sleeping, looking;
/* When a thread woke sleepers of whom none has come yet; 0: there are none. */
static _Atomic(int64_t) woken_at;
static atomic_int quit;
/* When a caller lost its CPU, so that there is one worker too many; 0: none did. */
static _Atomic(int64_t) given_up;
static _Alignas(SPK_ALIGN) atomic_int started;
static atomic_flag starting = ATOMIC_FLAG_INIT;
static int postponed;                           /* guarded by `starting` */
static _Alignas(SPK_ALIGN) atomic_int parked;   /* the number of parked workers */
static _Atomic(int64_t) next_probe = INT64_MAX; /* no probe of any worker before this time */
static atomic_size_t contended;

static void count_contended(void) {
  atomic_fetch_add_explicit(&contended, 1, memory_order_relaxed);
}

size_t spk_pool_contended(void) { return atomic_load_explicit(&contended, memory_order_relaxed); }

/* --- Waiting --- */

/* Whether *word changed within the time that it pays to stay awake. */
static int changes_soon(atomic_uint *word, unsigned value) {
  int64_t start = 0;
  for (;;) {
    for (int i = 0; i < LOOKS; i++) {
      if (atomic_load_explicit(word, memory_order_acquire) != value) return 1;
      spk_relax();
    }
    const int64_t now = spk_now();
    if (start == 0) start = now;
    if (now - start > LOOKING + CALLER_OFFERS) return 0;
    if (now - start > LOOKING) spk_yield();
  }
}

enum { SHUT, SHUT_AND_AWAITED, OPENED };

void spk_gate_await(atomic_uint *gate) {
  unsigned seen = SHUT;
  changes_soon(gate, SHUT);
  atomic_compare_exchange_strong(gate, &seen, SHUT_AND_AWAITED);
  while (atomic_load_explicit(gate, memory_order_acquire) != OPENED)
    spk_sleep(gate, SHUT_AND_AWAITED);
}

void spk_gate_open(atomic_uint *gate) {
  if (atomic_exchange(gate, OPENED) == SHUT_AND_AWAITED) spk_wake(gate, INT_MAX);
}

/* --- Workers --- */

/* The number of a worker in a job, the same at every call if possible; 0 if the job is full. */
static int take_seat(const spk_job *job, int id) {
  const int others = job->threads - 1;
  for (int i = 0; i < others; i++) {
    const int seat = 1 + (id + i) % others;
    spk_seat *s = &seats[job->bit][seat];
    if (!atomic_load_explicit(&s->taken, memory_order_relaxed) &&
        !atomic_exchange_explicit(&s->taken, 1, memory_order_relaxed))
      return seat;
  }
  return 0;
}

static void retract(const spk_job *job) {
  const unsigned bit = 1u << job->bit;
  if (atomic_load_explicit(&open_jobs, memory_order_relaxed) & bit)
    atomic_fetch_and_explicit(&open_jobs, ~bit, memory_order_relaxed);
}

/* Leave a job.  The last worker that leaves wakes the caller; returns whether it had to.  The job
 * is not touched after that. */
static int leave(spk_job *job) {
  const unsigned before = atomic_fetch_sub_explicit(&job->state, 1, memory_order_acq_rel);
  const int wakes = (before & INSIDE) == 1 && (before & CALLER_SLEEPS);
  if (wakes) spk_wake(&job->state, 1);
  return wakes;
}

static void keep_off(worker *w, pthread_t thread, int cpu) {
  const int before = atomic_exchange(&w->off, MOVING);
  if (before != MOVING) atomic_store(&w->off, spk_set_place(thread, allowed, before, cpu));
}

/* Whether a worker lost a notable time since its last measurement.  *cost becomes the lost time if
 * the loss may go on. */
static int lost(worker *self, int64_t *cost) {
  const spk_usage before = self->before, now = spk_thread_usage();
  const int64_t time = spk_usage_lost(&before, &now), all = now.wall - before.wall;
  self->before = now;
  if (time <= GAP || time <= all / LOST_PART) return 0;
  *cost = time;
  if (spk_usage_stolen(&before, &now)) {
    if (now.wall - self->stolen_at > STOLEN_PART * time) *cost = 0;
    self->stolen_at = now.wall;
  }
  return 1;
}

/* Work for a job if it is open and not full.  Returns whether the worker was inside.  *cost becomes
 * what it lost there. */
static int work_for(spk_job *job, worker *self, int64_t *cost) {
  unsigned state = atomic_load_explicit(&job->state, memory_order_relaxed);
  do {
    if (!(state & OPEN)) return 0;
  } while (!atomic_compare_exchange_weak_explicit(&job->state, &state, state + 1,
                                                  memory_order_acquire, memory_order_relaxed));
  if ((int)(state & INSIDE) + 2 >= job->threads) retract(job);
  const int seat = take_seat(job, self->id);
  *cost = 0;
  if (seat > 0) {
    /* The caller has moved to the CPU of this worker.  spk_take_place is to find a CPU that is free
     * now. */
    if (atomic_load_explicit(&self->off, memory_order_relaxed) >= 0 &&
        spk_current_cpu() == job->cpu)
      keep_off(self, pthread_self(), SPK_NO_CPU);
    const int64_t begin = spk_now();
    job->fn(job->context, seat);
    if (spk_now() - begin > GAP && lost(self, cost))
      atomic_store_explicit(&job->disturbed, 1, memory_order_relaxed);
  }
  retract(job); /* all tasks of the job are taken */
  /* The caller may have been woken on this CPU.  A worker that sleeps is out of its way, and the
   * next job wakes it elsewhere. */
  if (leave(job)) self->patience = 0;
  return seat > 0;
}

static unsigned joinable(void) {
  return atomic_load_explicit(&open_jobs, memory_order_acquire) & ALL_JOBS;
}

/* Work for any open job, if there is one. */
static int work_for_any(worker *self, int64_t *cost) {
  unsigned open;
  *cost = 0;
  while ((open = joinable()) != 0) {
    /* Workers begin their search at different jobs. */
    const unsigned later = open >> self->id % JOBS << self->id % JOBS;
    if (work_for(&jobs[spk_lowest_bit(later ? later : open)], self, cost)) return 1;
    spk_relax();
  }
  return 0;
}

typedef enum outcome { FOUND, NOTHING, DISTURBED } outcome;

/* Look for a job until there is one, or patience ends. */
static outcome look_for_job(const worker *self) {
  int64_t start = 0, last = 0;
  for (;;) {
    for (int i = 0; i < LOOKS; i++) {
      if (joinable()) return FOUND;
      spk_relax();
    }
    const int64_t now = spk_now();
    if (start == 0) start = last = now;
    /* Another thread of the process may have had work for the CPU, such as a BLAS between two
     * products.  That held up no product, so it is no disturbance.  The worker sleeps, to be out of
     * the way.  If it comes late when it is called, it will be parked. */
    if (now - last > GAP) return NOTHING;
    if (atomic_load_explicit(&given_up, memory_order_relaxed) != 0 &&
        now - atomic_exchange(&given_up, 0) < CALLER_MEMORY)
      return DISTURBED;
    if (now - start > self->patience || atomic_load_explicit(&quit, memory_order_relaxed))
      return NOTHING;
    last = now;
    if (now - start > LOOKING) spk_yield();
  }
}

/* Take job after job until none comes.  Returns whether the worker lost its CPU; *cost becomes what
 * that cost a job. */
static int work_while_awake(worker *self, int64_t *cost) {
  outcome seen;
  *cost = 0;
  self->before = spk_thread_usage();
  do {
    atomic_fetch_add(&looking, 1);
    seen = look_for_job(self);
    atomic_fetch_sub(&looking, 1);
    if (seen != FOUND) break;
    if (work_for_any(self, cost) && *cost == 0 && spk_now() - self->before.wall > LOST_CHECK)
      lost(self, cost);
  } while (*cost == 0);
  return seen == DISTURBED || *cost > 0;
}

/* Whether a worker that has slept since `begin` comes late. */
static int is_late(int64_t begin) {
  const int64_t called = atomic_exchange(&woken_at, 0);
  return called > begin && spk_now() - called > LATE;
}

/* Sleep until a job is opened.  Returns whether the worker came late.  The job may be closed by the
 * time that the worker comes; then the next call must not be mistaken for this one. */
static int sleep_until_called(worker *self) {
  const int64_t begin = spk_now();
  int late = 0;
  atomic_fetch_add(&sleeping, 1);
  while (atomic_load(&open_jobs) == 0 && !late) {
    spk_sleep(&open_jobs, 0);
    late = is_late(begin);
  }
  atomic_fetch_sub(&sleeping, 1);
  self->patience = spk_now() - begin < LONG_WAIT ? LONG_WAIT : SHORT_WAIT;
  return late;
}

/* Whether the CPU is free: any other thread that wants the CPU gets it. */
static int is_undisturbed(void) {
  const int64_t start = spk_now();
  for (int64_t now = start, last = start; now - start < PROBE; last = now) {
    spk_yield();
    now = spk_now();
    if (now - last > GAP) return 0;
  }
  return 1;
}

/* Keep a worker off the caller's CPU before it is woken, because there it would wait for the
 * caller.  Linux wakes a thread near the thread that wakes it unless it knows an idle CPU.  In a
 * virtual machine, it mistakes a sleeping CPU for one that the host has taken.  With 30 ms between
 * bursts of calls, 9 bursts of 10 ran on one thread, on two CPUs of which one was idle
 * (doc/decisions/threads.rst, decision-off-the-caller). */
static void leave_cpu(worker *w, int cpu) {
  if (cpu >= 0 && atomic_load_explicit(&w->off, memory_order_relaxed) != cpu)
    keep_off(w, w->thread, cpu);
}

/* Wake a parked worker. */
static void call(worker *w) {
  atomic_fetch_add(&w->calls, 1);
  spk_wake(&w->calls, 1);
}

static int is_parked(worker *w) { return atomic_load(&w->contention.probe_at) != 0; }

static void note_probe(worker *w) {
  const int64_t at = atomic_load(&w->contention.probe_at);
  int64_t next = atomic_load(&next_probe);
  while (at != 0 && at < next && !atomic_compare_exchange_weak(&next_probe, &next, at)) {
  }
}

/* Stay parked until a probe finds the CPU undisturbed. */
static void stay_parked(worker *self) {
  for (;;) {
    int64_t cost;
    const unsigned seen = atomic_load(&self->calls);
    /* Read after `seen`: the thread that sets `quit` calls the worker afterwards. */
    if (atomic_load(&quit)) return;
    const int64_t probed = atomic_exchange(&self->probed_at, 0);
    if (probed != 0) {
      const int is_in_time = spk_now() - probed < LATE;
      /* This also lets the worker use CPUs that the process got meanwhile. */
      keep_off(self, pthread_self(), SPK_NO_CPU);
      if (is_in_time && is_undisturbed()) {
        spk_contention_release(&self->contention, spk_now());
        atomic_fetch_sub(&parked, 1);
        return;
      }
      spk_contention_postpone(&self->contention, spk_now());
      note_probe(self);
    }
    if (!work_for_any(self, &cost)) spk_sleep(&self->calls, seen);
  }
}

static void *run_worker(void *argument) {
  worker *self = argument;
  spk_thread_set_name("spkernels");
  spk_thread_wake_politely();
  keep_off(self, pthread_self(), SPK_NO_CPU);
  self->patience = LONG_WAIT;
  while (!atomic_load(&quit)) {
    int64_t cost;
    if (!work_while_awake(self, &cost) && !sleep_until_called(self)) continue;
    atomic_fetch_add(&parked, 1);
    spk_contention_park(&self->contention, spk_now(), cost);
    note_probe(self);
    stay_parked(self);
    self->patience = LONG_WAIT;
  }
  return NULL;
}

/* --- Starting and ending --- */

/* Start workers until there are `wanted`, or as many as the system allows.  Returns their
 * number. */
static int have_workers(int wanted) {
  int count = atomic_load_explicit(&started, memory_order_acquire);
  if (count >= wanted || atomic_flag_test_and_set(&starting)) return count;
  count = atomic_load_explicit(&started, memory_order_relaxed);
  if (postponed > 0)
    postponed--;
  else
    while (count < wanted && !atomic_load(&quit)) {
      worker *w = &workers[count];
      w->id = count;
      w->stolen_at = INT64_MIN / 2;
      atomic_store(&w->off, SPK_NO_CPU);
      if (!spk_thread_start(&w->thread, run_worker, w)) {
        postponed = POSTPONED;
        break;
      }
      atomic_store_explicit(&started, ++count, memory_order_release);
    }
  atomic_flag_clear(&starting);
  return count;
}

/* The child of a fork has none of the threads, and the jobs of the parent are not its own. */
static void after_fork_in_child(void) {
  atomic_store(&open_jobs, 0);
  atomic_store(&claimed, 0);
  atomic_store(&sleeping, 0);
  atomic_store(&looking, 0);
  atomic_store(&given_up, 0);
  atomic_store(&woken_at, 0);
  atomic_store(&parked, 0);
  atomic_store(&next_probe, INT64_MAX);
  atomic_store(&started, 0);
  atomic_flag_clear(&starting);
  postponed = 0;
  spk_sleep_after_fork();
  for (int i = 0; i < SPK_MAX_THREADS; i++) {
    atomic_store(&workers[i].probed_at, 0);
    atomic_store(&workers[i].off, SPK_NO_CPU);
    spk_contention_reset(&workers[i].contention);
  }
  for (int i = 0; i < JOBS; i++) {
    atomic_store(&jobs[i].state, 0);
    jobs[i].usage = (spk_usage){0};
  }
}

void spk_pool_init(const spk_cpus *cpus) {
  allowed = cpus;
  for (int i = 0; i < JOBS; i++) jobs[i].bit = i;
  pthread_atfork(NULL, NULL, after_fork_in_child);
}

#if defined(__GNUC__)
/* Runs when the library is unloaded or the process ends.  If a worker is inside a job, its caller
 * is a thread that the end of the process does not wait for, so nothing is ended. */
__attribute__((destructor)) static void end_workers(void) {
  atomic_store(&quit, 1);
  if (atomic_flag_test_and_set(&starting)) return;
  for (int i = 0; i < JOBS; i++)
    if (atomic_load(&jobs[i].state) != 0) return;
  /* These bits are no jobs, but they keep workers from going to sleep. */
  atomic_fetch_or(&open_jobs, ~ALL_JOBS);
  spk_wake(&open_jobs, INT_MAX);
  const int count = atomic_exchange(&started, 0);
  for (int i = 0; i < count; i++) call(&workers[i]);
  for (int i = 0; i < count; i++) pthread_join(workers[i].thread, NULL);
}
#endif

/* --- Callers --- */

static spk_job *find_job(void) {
  unsigned taken = atomic_load_explicit(&claimed, memory_order_relaxed);
  for (;;) {
    const unsigned free = ~taken & ALL_JOBS;
    if (!free) return NULL;
    const int bit = spk_lowest_bit(free);
    if (atomic_compare_exchange_weak_explicit(&claimed, &taken, taken | 1u << bit,
                                              memory_order_acquire, memory_order_relaxed))
      return &jobs[bit];
  }
}

void spk_job_release(spk_job *job) {
  atomic_fetch_and_explicit(&claimed, ~(1u << job->bit), memory_order_release);
}

spk_job *spk_job_reserve(int threads) {
  spk_job *job = find_job();
  if (!job) return NULL;
  job->threads = threads;
  for (int i = 0; i < threads; i++) {
    spk_seat *seat = &seats[job->bit][i];
    atomic_init(&seat->next[0], 0);
    atomic_init(&seat->next[1], 0);
    atomic_init(&seat->taken, 0);
  }
  return job;
}

static int undisturbed_of(int count) {
  return count - atomic_load_explicit(&parked, memory_order_relaxed);
}

spk_job *spk_pool_claim(int *threads, int most) {
  const int wanted = (int)spk_min(*threads, spk_min(most, SPK_MAX_THREADS));
  if (wanted <= 1 || atomic_load_explicit(&quit, memory_order_relaxed)) return NULL;
  const int count = have_workers(wanted - 1);
  *threads = (int)spk_min(wanted, count + 1);
  if (*threads <= 1) return NULL;
  spk_job *job = spk_job_reserve(*threads);
  if (job) job->parked = (int)spk_max(0, *threads - 1 - undisturbed_of(count));
  return job;
}

spk_seat *spk_job_seats(spk_job *job) { return seats[job->bit]; }

void spk_job_open(spk_job *job, spk_job_fn fn, void *context) {
  job->fn = fn;
  job->context = context;
  job->cpu = spk_current_cpu();
  atomic_store_explicit(&job->disturbed, 0, memory_order_relaxed);
  atomic_store_explicit(&job->state, OPEN, memory_order_release);
  atomic_fetch_or(&open_jobs, 1u << job->bit);
  const int asleep = atomic_load(&sleeping);
  const int missing = job->threads - 1 - (int)spk_max(0, atomic_load(&looking));
  if (missing > 0 && asleep > 0) {
    const int count = atomic_load_explicit(&started, memory_order_acquire);
    for (int i = 0; i < count; i++) leave_cpu(&workers[i], job->cpu);
    int64_t nobody = 0;
    atomic_compare_exchange_strong(&woken_at, &nobody, spk_now());
    spk_wake(&open_jobs, missing);
  }
  const int count = atomic_load_explicit(&started, memory_order_acquire);
  for (int i = 0, left = job->parked; left > 0 && i < count; i++)
    if (is_parked(&workers[i])) {
      leave_cpu(&workers[i], job->cpu);
      call(&workers[i]);
      left--;
    }
}

/* If the caller itself lost its CPU, there are more threads than CPUs.  Then one worker gives up,
 * and leaves its CPU to the thread that has taken the caller's. */
static void check_caller(spk_job *job) {
  const int64_t now = spk_now();
  if (now - job->usage.wall < LOST_CHECK) return;
  const spk_usage before = job->usage;
  const int same = pthread_equal(job->caller, pthread_self());
  job->caller = pthread_self();
  job->usage = spk_thread_usage();
  const int64_t all = job->usage.wall - before.wall;
  const int64_t time = spk_usage_lost(&before, &job->usage);
  if (same && all < CALLER_MEMORY && time > GAP && time > all / LOST_PART &&
      !spk_usage_stolen(&before, &job->usage))
    atomic_store_explicit(&given_up, now, memory_order_relaxed);
}

void spk_job_close(spk_job *job) {
  retract(job);
  unsigned state = atomic_fetch_and_explicit(&job->state, ~OPEN, memory_order_acq_rel) & ~OPEN;
  int64_t start = 0;
  while (state & INSIDE) {
    if (start == 0) start = spk_now();
    if (!changes_soon(&job->state, state)) {
      atomic_fetch_or(&job->state, CALLER_SLEEPS);
      state |= CALLER_SLEEPS;
      if (atomic_load(&job->state) == state) spk_sleep(&job->state, state);
    }
    state = atomic_load_explicit(&job->state, memory_order_acquire);
  }
  atomic_store_explicit(&job->state, 0, memory_order_relaxed);
  if (atomic_load_explicit(&job->disturbed, memory_order_relaxed)) count_contended();
  check_caller(job);
  spk_job_release(job);
}

/* Whether short work is to wake workers that are all asleep.  It is if there was short work a
 * moment ago, because the next short work will find the workers awake. */
static int wakes_for_short_work(void) {
  static _Atomic(int64_t) last;
  const int64_t now = spk_now();
  return now - atomic_exchange_explicit(&last, now, memory_order_relaxed) < LONG_WAIT;
}

/* Probe a parked worker if a probe is due. */
static void probe_one(void) {
  const int64_t now = spk_now();
  int64_t next = atomic_load_explicit(&next_probe, memory_order_relaxed);
  if (now < next || !atomic_compare_exchange_strong(&next_probe, &next, INT64_MAX)) return;
  const int count = atomic_load_explicit(&started, memory_order_acquire);
  worker *due = NULL;
  for (int i = 0; i < count; i++) {
    if (!due && spk_contention_probe(&workers[i].contention, now)) due = &workers[i];
    note_probe(&workers[i]);
  }
  if (!due) return;
  leave_cpu(due, spk_current_cpu());
  atomic_store(&due->probed_at, spk_now());
  call(due);
}

int spk_pool_threads(int wanted, int is_short) {
  if (is_short && atomic_load_explicit(&looking, memory_order_relaxed) <= 0 &&
      atomic_load_explicit(&sleeping, memory_order_relaxed) > 0 && !wakes_for_short_work())
    return 1;
  const int absent = atomic_load_explicit(&parked, memory_order_relaxed);
  if (absent == 0) return wanted;
  const int count = have_workers(wanted - 1);
  const int fit = (int)spk_max(1, 1 + spk_max(count, wanted - 1) - absent);
  probe_one();
  if (wanted <= fit) return wanted;
  count_contended();
  return fit;
}
