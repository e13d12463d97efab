"""The one place that knows which concrete thing stands behind each name in the configuration, a file for each role.

Each `open_…` takes settings and gives a node: built, not started. A new format, scheme, protocol, transport or store is
a package of its own and a line here.
"""
