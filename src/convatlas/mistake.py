"""The one error that is the user's to mend."""


class Mistake(ValueError):
    """Something asked for that cannot be done; its text names the thing, the place and what to do. The command exits with 2."""
