"""Celeriac measured beside the others: the same work, in the same run, every count checked."""
