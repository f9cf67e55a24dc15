"""Operators: one folder each, with RTL, parameters, cycle model and the way to and from golden."""
