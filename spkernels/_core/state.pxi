# The state of the process (threads, the instruction set, limits), and facts about the build.


def get_num_threads():
    """Return the largest number of threads that a call uses by default."""
    return spk_get_num_threads()


def set_num_threads(int threads):
    """Set the largest number of threads of a call; 0 restores OpenMP's setting."""
    spk_set_num_threads(threads)


def limit_threads(int limit):
    """Cap OpenMP's setting at `limit` threads; 0 removes the cap."""
    spk_limit_threads(limit)


def use_team(size_t parallel, size_t thread_num, size_t in_parallel, int threads):
    """Lend the calling thread a team of an OpenMP library, by the addresses of three functions.

    0 threads end the loan.  A status is returned.
    """
    cdef spk_team team
    if threads == 0:
        return <int>spk_use_team(NULL)
    (<size_t *>&team.parallel)[0] = parallel
    (<size_t *>&team.thread_num)[0] = thread_num
    (<size_t *>&team.in_parallel)[0] = in_parallel
    team.threads = threads
    return <int>spk_use_team(&team)


def contended_regions():
    """Return the number of parallel regions that contention deprived of threads or delayed."""
    return spk_contended_regions()


def isa():
    """Return the name of the instruction set in use, or None if a forced one is unsupported."""
    cdef const char *name = spk_isa()
    return None if name == NULL else name.decode()


def isa_list():
    """Return the instruction sets that this build and this machine share."""
    cdef const char *const *names = spk_isa_list()
    found = []
    while names[0] != NULL:
        found.append(names[0].decode())
        names += 1
    return found


def openmp():
    """Return the OpenMP version (a date) of the build, or None for a serial build."""
    cdef const char *version = spk_openmp()
    return None if version == NULL else version.decode()


def status_string(int status):
    """Return the words for a status."""
    return spk_status_string(<spk_status>status).decode()


def abi_version():
    """Return the version of the C interface."""
    return spk_abi_version()


def workspace_limit():
    """Return the largest workspace of a call per thread, in bytes."""
    return spk_workspace_limit()


def shared_limit(Py_ssize_t rows):
    """Return the largest workspace of all threads together, in bytes, for a B of `rows` rows."""
    return spk_shared_limit(rows)


def roofline(bint loads, bint double_precision, size_t size, int threads):
    """Return the measured roofline of the machine: operations or loaded bytes per second.

    With `loads`, each thread loads `size` bytes again and again.
    """
    cdef double rate = 0
    cdef spk_status status
    with nogil:
        status = spk_measure_roofline(SPK_ROOFLINE_LOAD if loads else SPK_ROOFLINE_FMA,
                                      SPK_F64 if double_precision else SPK_F32, size, threads,
                                      &rate)
    if status == SPK_ERR_ARGUMENT:
        raise ValueError("roofline: unknown kind")
    if status != SPK_OK:
        raise MemoryError(f"no {size} bytes per thread to measure with")
    return rate
