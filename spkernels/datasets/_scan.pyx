# cython: language_level=3, boundscheck=False, wraparound=False
"""A strict scanner of text whose lines are positions and numbers.

It decides what a number is, and reads integers.  Real numbers it writes down, one per line, as any
parser reads them the same: parsers differ in what they accept, and some take ``1.5x`` for 1.5.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cnp.import_array()

# What a line can fail by: kept in the order of `FAILURES`.
cdef enum:
    OK, POSITION, INTEGER, REAL, RANGE, TOO_FEW_COLUMNS, TOO_MANY_COLUMNS, TOO_MANY_LINES

FAILURES = ("", "position", "integer", "real", "range", "few columns", "many columns", "lines")


cdef inline bint is_blank(unsigned char c) noexcept nogil:
    return c == b" " or (c != b"\n" and 9 <= c <= 13)


cdef inline bint is_digit(unsigned char c) noexcept nogil:
    return b"0" <= c <= b"9"


cdef inline bint ends_token(const unsigned char *p, const unsigned char *end) noexcept nogil:
    return p == end or p[0] == b"\n" or p[0] == b"%" or is_blank(p[0])


cdef inline const unsigned char *next_line(
    const unsigned char *p, const unsigned char *end
) noexcept nogil:
    while p < end and p[0] != b"\n":
        p += 1
    return p


cdef inline const unsigned char *whole_number(
    const unsigned char *p, const unsigned char *end, bint *negative, bint *fits, uint64_t *size
) noexcept nogil:
    """Read a sign and digits; return where they end, or NULL where there are none."""
    cdef uint64_t digit
    cdef const unsigned char *first
    negative[0] = False
    fits[0] = True
    size[0] = 0
    if p < end and (p[0] == b"-" or p[0] == b"+"):
        negative[0] = p[0] == b"-"
        p += 1
    first = p
    while p < end and is_digit(p[0]):
        digit = p[0] - 48
        if size[0] > (~(<uint64_t>0) - digit) // 10:
            fits[0] = False
        size[0] = size[0] * 10 + digit
        p += 1
    if p == first:
        return NULL
    return p


cdef inline const unsigned char *word(
    const unsigned char *p, const unsigned char *end, const char *wanted
) noexcept nogil:
    """Return where a word in small or capital letters ends, or NULL if it is another."""
    while wanted[0]:
        if p == end or (p[0] | 32) != <unsigned char>wanted[0]:
            return NULL
        p += 1
        wanted += 1
    return p


cdef inline const unsigned char *copy_digits(
    const unsigned char *p, const unsigned char *end, unsigned char **out
) noexcept nogil:
    """Copy digits; return where they end."""
    cdef unsigned char *w = out[0]
    cdef uint64_t eight
    while end - p >= 8:
        memcpy(&eight, p, 8)
        # Digits are 0x30 to 0x39: with 6 added to the lower half, all others get another upper one.
        if (eight & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL:
            break
        if ((eight + 0x0606060606060606ULL) & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL:
            break
        memcpy(w, &eight, 8)
        w += 8
        p += 8
    while p < end and is_digit(p[0]):
        w[0] = p[0]
        w += 1
        p += 1
    out[0] = w
    return p


cdef inline const unsigned char *real_number(
    const unsigned char *p, const unsigned char *end, unsigned char **out
) noexcept nogil:
    """Write a number as C does; return where it ends, or NULL where there is none.

    Never writes more than it reads.  Exponents may have Fortran's letters.
    """
    cdef unsigned char *w = out[0]
    cdef const unsigned char *q
    cdef Py_ssize_t digits = 0
    if p < end and (p[0] == b"-" or p[0] == b"+"):
        if p[0] == b"-":
            w[0] = b"-"
            w += 1
        p += 1
    if p < end and p[0] >= b"A":
        q = word(p, end, b"nan")
        if q == NULL:
            q = word(p, end, b"infinity")
        if q == NULL:
            q = word(p, end, b"inf")
        if q == NULL:
            return NULL
        while p < q:
            w[0] = p[0] | 32
            w += 1
            p += 1
        out[0] = w
        return p
    q = p
    p = copy_digits(p, end, &w)
    digits = p - q
    if p < end and p[0] == b".":
        w[0] = b"."
        w += 1
        q = p + 1
        p = copy_digits(q, end, &w)
        digits += p - q
    if digits == 0:
        return NULL
    if p < end and ((p[0] | 32) == b"e" or (p[0] | 32) == b"d" or (p[0] | 32) == b"q"):
        w[0] = b"e"
        w += 1
        p += 1
        if p < end and (p[0] == b"-" or p[0] == b"+"):
            w[0] = p[0]
            w += 1
            p += 1
        if p == end or not is_digit(p[0]):
            return NULL
        p = copy_digits(p, end, &w)
    out[0] = w
    return p


def scan(
    bytes text, Py_ssize_t begin, Py_ssize_t stop, tuple sizes, int reals, tuple limits,
    Py_ssize_t lines, cnp.ndarray positions, cnp.ndarray integers, cnp.ndarray written
):
    """Read lines of two positions or none, then `reals` numbers, or an integer, or nothing.

    Blank lines and what follows ``%`` are skipped.  `sizes` are the largest positions, () for
    none; `limits` the largest integer and the largest absolute value of a negative one, () for
    none; `lines` how many there are at most.  The arrays are flat, of int64, uint64 (in two's
    complement) and uint8, and have room for what so many lines of so many bytes can hold.

    Returns the lines found, the bytes written, and what went wrong: one of `FAILURES`, in which
    column and at which byte.
    """
    cdef const unsigned char *base = text
    cdef const unsigned char *p = base + begin
    cdef const unsigned char *end = base + stop
    cdef const unsigned char *token = p
    cdef const unsigned char *after = NULL
    cdef int64_t *places = <int64_t *>cnp.PyArray_DATA(positions)
    cdef uint64_t *whole = <uint64_t *>cnp.PyArray_DATA(integers)
    cdef unsigned char *out = <unsigned char *>cnp.PyArray_DATA(written)
    cdef unsigned char *first = out
    cdef uint64_t extents[2]
    cdef uint64_t most = 0, most_negative = 0, size
    cdef bint negative, fits
    cdef int coordinates = len(sizes), whole_columns = 1 if limits else 0, status = OK
    cdef int columns = coordinates + reals + whole_columns, column = 0
    cdef Py_ssize_t found = 0
    extents[0], extents[1] = sizes if sizes else (0, 0)
    if limits:
        most, most_negative = limits
    with nogil:
        while status == OK:
            while p < end and (is_blank(p[0]) or p[0] == b"\n"):
                p += 1
            if p == end:
                break
            if p[0] == b"%":
                p = next_line(p, end)
                continue
            if found == lines:
                token, status = p, TOO_MANY_LINES
                break
            for column in range(columns + 1):
                while p < end and is_blank(p[0]):
                    p += 1
                token = p
                if p == end or p[0] == b"\n" or p[0] == b"%":
                    if column < columns:
                        status = TOO_FEW_COLUMNS
                    break
                if column == columns:
                    status = TOO_MANY_COLUMNS
                elif column < coordinates:
                    after = whole_number(p, end, &negative, &fits, &size)
                    if after == NULL or not ends_token(after, end):
                        status = POSITION
                    elif negative or not fits or size < 1 or size > extents[column]:
                        status = RANGE
                    else:
                        places[0] = <int64_t>(size - 1)
                        places += 1
                elif whole_columns:
                    after = whole_number(p, end, &negative, &fits, &size)
                    if after == NULL or not ends_token(after, end):
                        status = INTEGER
                    elif not fits or size > (most_negative if negative else most):
                        status = RANGE
                    else:
                        whole[0] = 0 - size if negative else size
                        whole += 1
                else:
                    after = real_number(p, end, &out)
                    if after == NULL or not ends_token(after, end):
                        status = REAL
                    else:
                        out[0] = b"\n"
                        out += 1
                if status != OK:
                    break
                p = after
            if status == OK:
                found += 1
                p = next_line(p, end)
    return found, out - first, FAILURES[status], column, token - base
