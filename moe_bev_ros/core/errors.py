"""Errors that tell the user a fact and a cure."""


class InputError(ValueError):
    """A message, file or parameter cannot be used; the text names what was found and what is wanted."""
