/* The vocabulary that kernels are written in: one word for each thing that a GPU can do.
 *
 * device/nvidia.h spells the words with CUDA's intrinsics and PTX, device/emulated.h with fibers on
 * a CPU, so that the same kernels run in tests without a GPU.  Kernels and what launches them
 * include this file and nothing of CUDA's.
 *
 *   thread() lane() warp()            who this is: of the block, of its warp, of the block's warps
 *   block() blocks()                  which block of the grid, and of how many
 *   block_memory()                    the block's dynamic shared memory, aligned to 128 bytes
 *   sync_block() sync_warp()
 *   shuffle(v, lane)                  a value of another lane of the warp
 *   shuffle_xor(v, mask)              the same, of lane() ^ mask
 *   any(p)                            whether it holds for a lane of the warp
 *   load(p) load_once(p)              global memory that nothing in this launch writes; _once: no
 *                                     use in keeping it in L1
 *   store(p, v)                       global or shared memory, as a whole
 *   store_global(p, v)                global memory, and never by parts
 *   store_where(condition, p, v)      global memory, without a branch
 *   copy_async<16 | 8 | 4>(s, g, n)   global to shared memory, later; zeros after n bytes
 *   copy_commit() copy_wait<n>()      end a group; wait for all but the last n groups
 *   mma<T>(c, a, b)                   16 x 8 tiles on tensor cores: see pack/fragments.h
 *   load_matrix4(r, s)                four 8 x 8 tiles of 16-bit elements, by ldmatrix
 *   load_matrix4_transposed(r, s)         the same, transposed
 *   to_float(v) from_float<T>(x) half_of<T>(word, i) pack2<T>(x, y) tf32(x)
 *   bits_of(x) float_of(bits)
 *   fma(a, b, c) fmax(a, b) exp2(x) exp(x) log(x) tanh(x) erfc(x) popcount(x)
 *   keep(x)                           x, held in a register: compilers compute it again
 *
 *   SPK_DEVICE SPK_OUTLINED           before a function; rare code that is not to take registers
 *   SPK_KERNEL(threads, blocks) SPK_PARAMETER(name, type)
 *   SPK_UNROLLED SPK_ONE_BY_ONE       before a loop
 *
 * Every lane of a warp, and for sync_block every thread of the block, takes part in what
 * synchronises or exchanges: a kernel never returns before one of these.
 */
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
