/* The k largest elements of a row. Of equal elements, those with lower indices win; -0 equals 0,
 * and NaN is larger than any number.
 *
 * There is no sort.  The k-th largest number is found by bisection between the least and the
 * largest number, on the bits of floats, which are ordered as integers are.  Bisection counts the
 * row at most 32 or 64 times.  It ends earlier if it meets a value between the k-th and the next
 * number: after 9 to 22 counts, 16 on average, for 205 of 2048 normally distributed elements.
 * Compilers turn a count into vectors.  Such a row of floats takes 1.5 us on Zen 5. */
typedef int32_t key_f32;
typedef int64_t key_f64;
#define KEY SPK_CAT2(key_, TN)
#define MAX_KEY (sizeof(T) == 4 ? (KEY)INT32_MAX : (KEY)INT64_MAX)

/* An integer that is ordered as the numbers are, and the number of such an integer. */
static KEY FT(key)(T x) {
  KEY bits;
  memcpy(&bits, &x, sizeof bits);
  return bits < 0 ? bits ^ MAX_KEY : bits;
}

static T FT(of_key)(KEY key) {
  const KEY bits = key < 0 ? key ^ MAX_KEY : key;
  T x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The number of x[0 .. count) for which the condition holds.  Blocks are counted by counters as
 * wide as the values. */
#define COUNT(name, condition)                                    \
  static ptrdiff_t FT(name)(const T *x, ptrdiff_t count, T low) { \
    ptrdiff_t found = 0;                                          \
    (void)low;                                                    \
    for (ptrdiff_t p = 0; p < count;) {                           \
      const ptrdiff_t stop = spk_min(count, p + 65536);           \
      KEY some = 0;                                               \
      for (; p < stop; p++) some += (condition);                  \
      found += (ptrdiff_t)some;                                   \
    }                                                             \
    return found;                                                 \
  }
COUNT(count_nan, x[p] != x[p])
COUNT(count_from, x[p] >= low)
COUNT(count_above, x[p] > low)

/* The keys of the least and of the largest number. */
static void FT(range)(const T *x, ptrdiff_t count, KEY *least, KEY *most) {
  KEY low = MAX_KEY, high = -MAX_KEY;
  for (ptrdiff_t p = 0; p < count; p++) {
    const KEY key = FT(key)(x[p]);
    const int number = x[p] == x[p];
    const KEY below = number ? key : MAX_KEY, above = number ? key : -MAX_KEY;
    low = below < low ? below : low;
    high = above > high ? above : high;
  }
  *least = low;
  *most = high;
}

/* The k-th largest number, or a value between it and the next.  k must be positive and at most the
 * number of numbers. */
static T FT(kth)(const T *x, ptrdiff_t count, ptrdiff_t k) {
  /* At least k numbers are >= low, and fewer than k are > high. */
  KEY low, high;
  FT(range)(x, count, &low, &high);
  while (low < high) {
    /* The middle of low and high, computed from halves because their difference may overflow.
     * `next` is above low, and at most high. */
    const KEY middle = low / 2 + high / 2 + (low % 2 + high % 2) / 2;
    const KEY next = middle > low ? middle : low + 1;
    const ptrdiff_t found = FT(count_from)(x, count, FT(of_key)(next));
    if (found >= k) low = next;
    if (found < k) high = next - 1;
    if (found == k) break;
  }
  return FT(of_key)(low);
}

static void FT(kwinners)(void *out, int32_t *winners, const void *values, ptrdiff_t count,
                         ptrdiff_t k) {
  const T *x = values;
  T *kept = out;
  const ptrdiff_t nans = FT(count_nan)(x, count, (T)0);
  const int only_nans = k <= nans;
  const T low = only_nans ? (T)0 : FT(kth)(x, count, k - nans);
  /* The number of elements equal to the least winner that are still to be kept. */
  ptrdiff_t ties = only_nans ? k : k - nans - FT(count_above)(x, count, low);
  if (!only_nans && kept && !winners && FT(count_from)(x, count, low) == k - nans) {
    for (ptrdiff_t i = 0; i < count; i++) kept[i] = x[i] < low ? (T)0 : x[i];
    return;
  }
  ptrdiff_t found = 0;
  for (ptrdiff_t i = 0; i < count; i++) {
    const int nan = x[i] != x[i], tie = only_nans ? nan : x[i] == low;
    const int keep = ((only_nans ^ 1) & (nan | (x[i] > low))) | (tie & (ties > 0));
    ties -= tie;
    if (winners && keep) winners[found++] = (int32_t)i;
    if (kept) kept[i] = keep ? x[i] : (T)0;
  }
}

#undef COUNT
#undef KEY
#undef MAX_KEY
