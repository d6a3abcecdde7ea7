# cython: language_level=3, boundscheck=False, wraparound=False
"""A strict scanner of texts whose lines have positions and numbers.

Parsers differ in what they accept as a number, and some read ``1.5x`` as 1.5.  So the scanner
decides what a number is.  It reads integers itself.  It writes real numbers to a text, one per
line, in a form that all parsers read the same.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cnp.import_array()

# The reasons to reject a line, in the order of `FAILURES`.
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
    """Read a sign and digits; return where they end, or NULL if there are no digits."""
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
    """Return where the word `wanted` ends, in small or capital letters, or NULL if it is absent."""
    while wanted[0]:
        if p == end or (p[0] | 32) != <unsigned char>wanted[0]:
            return NULL
        p += 1
        wanted += 1
    return p


cdef inline const unsigned char *copy_digits(
    const unsigned char *p, const unsigned char *end, unsigned char **out
) noexcept nogil:
    """Copy digits to `out`, and return where they end."""
    cdef unsigned char *w = out[0]
    cdef uint64_t eight
    while end - p >= 8:
        memcpy(&eight, p, 8)
        # Digits are bytes 0x30 to 0x39.  Both their upper halves and those of digit + 6 are 3; for
        # 0x3a to 0x3f the latter is 4.
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
    """Write a real number in C's notation; return where it ends, or NULL if there is no number.

    At most as many bytes are written as are read.  Exponents may have Fortran's letters.
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
    """Read lines of two positions or none, followed by `reals` real numbers or by one integer.

    Blank lines and comments, from ``%`` to the end of a line, are skipped.

    `text[begin:stop]` is read.  `sizes` are the largest row and column, or () if lines have no
    positions.  `limits` are the largest integer and the largest absolute value of a negative
    integer, or () if lines have no integer.  `lines` is the largest number of lines.

    Results go to contiguous arrays: `positions` (int64, counted from 0), `integers` (uint64, in
    two's complement) and `written` (uint8).  Bounds are not checked: each array must have room for
    all that `lines` lines of ``stop - begin`` bytes can hold.

    Returns the number of lines, the number of bytes written, the reason of a failure (one of
    `FAILURES`; "" for success), and the column and the byte offset of the failure.
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
