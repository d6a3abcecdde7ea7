/* The templates that depend on the value type and the index type. */
#include "names.inc.h"
#include "spmm_csr.inc.h"
#include "spmm_csc.inc.h"
#include "spmspv_csc.inc.h"
#include "spmm_coo.inc.h"
#include "partial_sums.inc.h"
#include "spmm_bsr.inc.h"
#include "sddmm_csr.inc.h"
