/* The templates that depend on the value type alone. */
#include "names.inc.h"
#include "pack.inc.h"
#include "epilogue.inc.h"
#include "spmm_strips.inc.h"
#include "spmv_slices.inc.h"
#include "ceilings.inc.h"
