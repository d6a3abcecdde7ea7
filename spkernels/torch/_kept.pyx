"""Whether tensors and modules are as they were when something was made of them.

Each call of a sparse module asks this.  Compiled, the answer takes a quarter of the time that the
interpreter needs.  Nothing of PyTorch is needed to compile it: it reads attributes of objects.
"""

__all__ = ["Kept", "Run", "has_hooks"]


cdef class Kept:
    """The tensors of a weight and its bias, by which a module knows that what it made still holds.

    Parameters
    ----------
    tensors : tuple of Tensor
        The values, the columns and the offsets.
    bias : Tensor or None
    """

    cdef object _values, _columns, _offsets, _bias
    cdef long long _values_version, _columns_version, _offsets_version
    cdef object _values_pointer, _bias_pointer
    # Bound methods: a call finds none of them again.
    cdef object _values_address, _bias_address

    def __init__(self, tuple tensors, bias):
        self._values, self._columns, self._offsets = tensors
        self._bias = bias
        self._values_version = _version(self._values)
        self._columns_version = _version(self._columns)
        self._offsets_version = _version(self._offsets)
        self._values_address = self._values.data_ptr
        self._values_pointer = self._values_address()
        self._bias_address = None if bias is None else bias.data_ptr
        self._bias_pointer = None if bias is None else self._bias_address()

    def is_current(self, values, columns, offsets, bias):
        """Return whether these are the same tensors, as they were."""
        return self._holds(values, columns, offsets, bias)

    cdef bint _holds(self, values, columns, offsets, bias) except -1:
        return (
            values is self._values
            and columns is self._columns
            and offsets is self._offsets
            and bias is self._bias
            # Tensors of inference mode have another address, and no version.
            and self._values_address() == self._values_pointer
            and <long long>values._version == self._values_version
            and <long long>columns._version == self._columns_version
            and <long long>offsets._version == self._offsets_version
            and (bias is None or self._bias_address() == self._bias_pointer)
        )


cdef long long _version(tensor) except -2:
    """Return what counts changes in place, or -1 for tensors of inference mode: nothing does."""
    return -1 if tensor.is_inference() else <long long>tensor._version


cdef bint _has_hooks(dict attributes) except -1:
    return (
        "forward" in attributes
        or bool(attributes["_forward_hooks"])
        or bool(attributes["_forward_pre_hooks"])
        or bool(attributes["_backward_hooks"])
    )


def has_hooks(module):
    """Return whether code is called before or after a module, or in place of it."""
    return _has_hooks(module.__dict__)


cdef class Run:
    """Modules that follow each other and are called as one, as they were when that was prepared.

    Parameters
    ----------
    modules : tuple of Module
        The first one is a layer.
    kept : tuple of Kept, or of None
        For each module that is a layer, what was made of its tensors.
    call : object
        What stands for the modules.

    Attributes
    ----------
    call : object
        As given.
    workers : int or None
        The attribute of all layers.
    """

    cdef readonly object call, workers
    cdef tuple _modules, _types, _kept, _activations

    def __init__(self, tuple modules, tuple kept, call):
        self._modules, self._kept, self.call = modules, kept, call
        self._types = tuple([type(module) for module in modules])
        self._activations = tuple([module.__dict__.get("activation") for module in modules])
        self.workers = modules[0].__dict__["workers"]

    def __len__(self):
        return len(self._modules)

    def covers(self, tuple modules, Py_ssize_t start=0):
        """Return whether these modules are in a tuple from a place on, and nothing has changed."""
        cdef Py_ssize_t i, count = len(self._modules)
        cdef dict attributes
        cdef Kept kept
        if start + count > len(modules):
            return False
        for i in range(count):
            module = modules[start + i]
            if module is not self._modules[i] or type(module) is not self._types[i]:
                return False
            attributes = module.__dict__
            if _has_hooks(attributes):
                return False
            if self._kept[i] is None:
                continue
            kept = <Kept?>self._kept[i]
            if attributes["workers"] is not self.workers:
                return False
            if attributes["activation"] is not self._activations[i]:
                return False
            buffers, parameters = attributes["_buffers"], attributes["_parameters"]
            values = buffers["values"] if "values" in buffers else parameters["values"]
            bias = parameters["bias"]
            if not kept._holds(values, buffers["columns"], buffers["offsets"], bias):
                return False
        return True
