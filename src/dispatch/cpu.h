/* What this machine is: instruction sets and cache sizes. */
#ifndef SPK_DISPATCH_CPU_H
#define SPK_DISPATCH_CPU_H

#include <stddef.h>

int spk_cpu_has_avx2(void);   /* AVX2 and FMA, and the OS saves their registers */
int spk_cpu_has_avx512(void); /* AVX-512 F, BW, VL, DQ, and the OS saves their registers */
int spk_cpu_has_avx512_vnni(void);
int spk_cpu_has_avx512_vbmi2(void); /* and VNNI, as all that have it */
int spk_cpu_has_avx_vnni(void);
int spk_cpu_is_amd(void);
size_t spk_cpu_l1_bytes(void);
size_t spk_cpu_l2_bytes(void);

#endif
