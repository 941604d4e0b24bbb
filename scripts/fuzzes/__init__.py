"""Converts randomly damaged files and checks endings and values: `__main__` plays cases, `seeds`
makes the sound files, `mutations` damages them, `readers` reads them with other libraries. What it
has in common with `tortures` is there: damage to bytes, endings of the program, readers apart."""
