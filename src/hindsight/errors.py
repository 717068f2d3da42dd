"""The exception whose message is meant for the user of the pipeline."""


class UserError(Exception):
    """An error that the user can fix; the message says what was found, where, and what to do."""
