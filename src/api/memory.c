/* Memory for results, and what is kept of it and of workspaces. */
#include "../threads/results.h"
#include "../threads/workspace.h"

void *spk_result_new(size_t bytes) { return spk_results_take(bytes); }

void *spk_result_resize(void *result, size_t bytes) { return spk_results_resize(result, bytes); }

void spk_result_free(void *result) { spk_results_give(result); }

void spk_keep_results(size_t bytes, int huge_pages) {
  spk_results_set_huge_pages(huge_pages);
  spk_results_set_limit(bytes);
}

size_t spk_kept_results(void) { return spk_results_kept(); }

size_t spk_release_memory(void) { return spk_results_release() + spk_workspace_drop(); }
