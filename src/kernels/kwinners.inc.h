/* The k largest of a row, by value; the lower index wins where values are equal (-0 is 0), and NaN
 * is larger than any number.
 *
 * No sort: the k-th largest is found by bisection between the least and the largest number, on the
 * bits of floats, which are ordered as integers are.  It takes 32 or 64 counts of the row at most,
 * and fewer where a value between the k-th and the next is met: 9 to 22, 16 on average, for 205 of
 * 2048 normally distributed ones.  A count is a loop that compilers turn into vectors: 1.5 us for
 * such a row of floats on Zen 5. */
typedef int32_t key_f32;
typedef int64_t key_f64;
#define KEY SPK_CAT2(key_, TN)
#define MAX_KEY (sizeof(T) == 4 ? (KEY)INT32_MAX : (KEY)INT64_MAX)

/* An integer that is ordered as numbers are, and back. */
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

/* How many of x[0 .. count) the condition holds for; counted in blocks, by counters as wide as the
 * values. */
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

/* The k-th largest number, or one between it and the next; 0 < k <= how many there are. */
static T FT(kth)(const T *x, ptrdiff_t count, ptrdiff_t k) {
  /* k numbers or more lie at or above `low`, fewer above `high`. */
  KEY low, high;
  FT(range)(x, count, &low, &high);
  while (low < high) {
    /* In halves, as a difference may overflow; above low, and at or below high. */
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
  /* How many of those that equal the least winner are left to be kept. */
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
