"""Every exception class of the package.

A message is one line (a model's list of problems is the one exception: one line each) that says
what, where, what was found, what was wanted and what to do. The command line prints it and exits
with code 2; nothing a user can do wrong ends in a traceback.
"""


class DfimError(Exception):
    """Base of every error that a user can cause or meet."""


class ModelError(DfimError):
    """The model cannot be loaded: unsupported nodes, NaN weights, wrong ranks, unknown length."""


class InputError(DfimError):
    """Sequences, references, regions or features do not fit the model or each other."""


class SettingsError(DfimError):
    """An option has a value that is unknown or does not go with the others."""


class BackendError(DfimError):
    """The backend asked for by name cannot run here, or cannot run this plan."""


class NullError(DfimError):
    """The null does not match the scores it is asked to judge."""


class OutputError(DfimError):
    """The results cannot be written or read: existing output, full disk, other settings."""
