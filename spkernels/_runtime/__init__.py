"""The state of the process: threads, locks, BLAS limits, files and the configuration.

No module here deals with matrices.  Code that reads the system or the environment belongs here, and
code about operands belongs to `_inputs`.  All other rooms use these modules.
"""
