"""Tries mutants of the code: changes in one place, which a test has to catch."""
