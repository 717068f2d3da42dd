"""The one exception whose text is meant for the person running the pipeline."""


class UserError(Exception):
    """Something the user can mend; the message says what was found, where, and what to do."""
