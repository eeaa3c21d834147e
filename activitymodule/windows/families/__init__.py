"""Feature families: one module each, with the names, units and meanings of its features and the function.

A module decorates its function with `base.family`; windows.catalogue imports them all.
"""
