/* The number of threads that calls use. */
#include "../threads/parallel.h"

int spk_get_num_threads(void) { return spk_default_threads(); }

void spk_set_num_threads(int threads) { spk_set_default_threads(threads); }

void spk_limit_threads(int limit) { spk_limit_default_threads(limit); }

spk_status spk_use_team(const spk_team *team) {
  if (team && (!team->parallel || !team->thread_num || !team->in_parallel || team->threads < 1))
    return SPK_ERR_ARGUMENT;
  spk_set_team(team);
  return SPK_OK;
}

size_t spk_contended_regions(void) { return spk_parallel_contended(); }

const char *spk_openmp(void) { return spk_openmp_version(); }
