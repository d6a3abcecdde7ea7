/* The number of threads that calls use. */
#include "../threads/parallel.h"

int spk_get_num_threads(void) { return spk_default_threads(); }

void spk_set_num_threads(int threads) { spk_set_default_threads(threads); }

void spk_limit_threads(int limit) { spk_limit_default_threads(limit); }

size_t spk_contended_regions(void) { return spk_pool_contended_regions(); }

const char *spk_openmp(void) { return spk_openmp_version(); }
