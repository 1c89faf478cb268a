"""Pure functions from evidence to verdicts, one file for each subject."""
