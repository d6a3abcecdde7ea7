"""The process that the package runs in: threads, locks, BLAS limits, files, the configuration.

Nothing here knows what a matrix is.  What is asked once of the system or of the environment goes
here; what belongs to an operand goes to `_inputs`.
"""
