/* The vocabulary that kernels are written in: one word for each thing that a GPU can do.
 *
 * device/nvidia.h spells the words with CUDA's intrinsics and PTX, and device/emulated.h with
 * fibers on a CPU, so that the same kernels run in tests without a GPU.  Kernels and the code that
 * launches them include this file and nothing of CUDA.
 *
 *   thread() lane() warp()            the number of this thread in its block, of the lane in its
 *                                     warp, of the warp in its block
 *   block() blocks()                  the number of this block in the grid, and how many there are
 *   block_memory()                    the block's dynamic shared memory, aligned to 128 bytes
 *   sync_block() sync_warp()
 *   shuffle(v, lane)                  the value of another lane of the warp
 *   shuffle_xor(v, mask)              the same, of lane() ^ mask
 *   any(p)                            whether p holds for any lane of the warp
 *   load(p) load_once(p)              global memory that nothing in this launch writes; _once: it
 *                                     need not stay in L1
 *   store(p, v)                       global or shared memory, as a whole
 *   store_global(p, v)                global memory, and never in parts
 *   store_where(condition, p, v)      global memory, without a branch
 *   copy_async<16 | 8 | 4>(s, g, n)   global to shared memory, later; zeros after n bytes
 *   copy_commit() copy_wait<n>()      end a group; wait for all but the last n groups
 *   mma<T>(c, a, b)                   16 x 8 tiles on tensor cores: see pack/fragments.h
 *   load_matrix4(r, s)                four 8 x 8 tiles of 16-bit elements, by ldmatrix
 *   load_matrix4_transposed(r, s)     the same, transposed
 *   to_float(v) from_float<T>(x) half_of<T>(word, i) pack2<T>(x, y) tf32(x)
 *   bits_of(x) float_of(bits)
 *   fma(a, b, c) fmax(a, b) exp2(x) exp(x) log(x) tanh(x) erfc(x) popcount(x)
 *   keep(x)                           x, held in a register, where compilers would recompute it
 *
 *   SPK_DEVICE SPK_OUTLINED           before a function; SPK_OUTLINED: rare code, out of line
 *   SPK_KERNEL(threads, blocks) SPK_PARAMETER(name, type)
 *   SPK_UNROLLED SPK_ONE_BY_ONE       before a loop
 *
 * Every lane of a warp, and for sync_block every thread of the block, must take part in words that
 * synchronise or exchange values.  A kernel never returns before one of these words. */
#ifndef SPK_DEVICE_H
#define SPK_DEVICE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "types.h"

#ifdef SPK_EMULATED
#include "emulated.h"
#else
#include "nvidia.h"
#endif

#endif
