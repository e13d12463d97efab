"""rprov: a device without a subscription gets its first one over the cellular network (TR 23.799, solution 12.X)."""

__version__ = "0.1.0"
