"""Where a verb of the command line lives, so that a list of verbs needs none of them."""

from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb lives, and what the list of verbs says about it."""

    module: str
    attribute: str
    summary: str
