#include "../common/common.h"

int spk_abi_version(void) { return SPK_ABI_VERSION; }

const char *spk_status_string(spk_status status) {
  switch (status) {
    case SPK_OK:
      return "success";
    case SPK_ERR_ARGUMENT:
      return "a null pointer, a negative size, an unknown enum value, or a format that the "
             "function does not take";
    case SPK_ERR_SHAPE:
      return "the shapes of the operands do not fit together";
    case SPK_ERR_DTYPE:
      return "the operands differ in their dtype";
    case SPK_ERR_INDPTR:
      return "the offsets do not start at 0, decrease, or pass the number of entries";
    case SPK_ERR_INDEX:
      return "an index is negative or not below the dimension";
    case SPK_ERR_MEMORY:
      return "no memory for the workspace";
    case SPK_ERR_ISA:
      return "SPKERNELS_ISA names an instruction set that this build or this machine lacks";
    case SPK_ERR_SPARSE:
      return "too few entries for its shape to be packed";
  }
  return "unknown status";
}
