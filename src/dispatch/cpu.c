#include "cpu.h"

#include <stdint.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static uint64_t extended_control(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

/* Whether the OS saves the registers of a state (XCR0).  A CPU that has the instructions is of no
 * use otherwise. */
static int os_saves(uint64_t state) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  return (extended_control() & state) == state;
}

static int leaf7_has(unsigned bits) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bits) == bits;
}

static int leaf1_has(unsigned bits) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bits) == bits;
}

int spk_cpu_has_avx2(void) {
  return leaf1_has(bit_FMA | bit_F16C) && leaf7_has(bit_AVX2) && os_saves(0x6);
}

int spk_cpu_has_avx512(void) {
  return spk_cpu_has_avx2() &&
         leaf7_has(bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ) && os_saves(0xe6);
}

int spk_cpu_has_avx512_vnni(void) {
  unsigned a, b, c, d;
  return spk_cpu_has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_AVX512VNNI);
}

int spk_cpu_has_avx512_vbmi2(void) {
  enum { AVX512_VBMI2 = 1 << 6 };
  unsigned a, b, c, d;
  return spk_cpu_has_avx512_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & AVX512_VBMI2);
}

int spk_cpu_has_avx_vnni(void) {
  enum { AVX_VNNI = 1 << 4 }; /* not in cpuid.h of older compilers */
  unsigned a, b, c, d;
  return spk_cpu_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX_VNNI);
}

int spk_cpu_is_amd(void) {
  unsigned a, b, c, d;
  return __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && d == signature_AMD_edx &&
         c == signature_AMD_ecx;
}
#else
int spk_cpu_has_avx2(void) { return 0; }
int spk_cpu_has_avx512(void) { return 0; }
int spk_cpu_has_avx512_vnni(void) { return 0; }
int spk_cpu_has_avx512_vbmi2(void) { return 0; }
int spk_cpu_has_avx_vnni(void) { return 0; }
int spk_cpu_is_amd(void) { return 0; }
#endif

static size_t cache_bytes(int name, size_t otherwise) {
  const long bytes = name < 0 ? 0 : sysconf(name);
  return bytes > 0 ? (size_t)bytes : otherwise;
}

#ifdef _SC_LEVEL1_DCACHE_SIZE
#define L1_NAME _SC_LEVEL1_DCACHE_SIZE
#define L2_NAME _SC_LEVEL2_CACHE_SIZE
#else
#define L1_NAME (-1)
#define L2_NAME (-1)
#endif

size_t spk_cpu_l1_bytes(void) { return cache_bytes(L1_NAME, 32 << 10); }
size_t spk_cpu_l2_bytes(void) { return cache_bytes(L2_NAME, 512 << 10); }
