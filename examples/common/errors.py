"""What can be wrong with data and runs, said so that a user knows what to do."""


class DataError(Exception):
    """Data that is missing, broken or not what it claims to be."""


class RunError(Exception):
    """A run that is not there, or not in the state that the command needs."""
