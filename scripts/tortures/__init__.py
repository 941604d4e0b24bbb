"""Damages files at random and checks how the program ends: `__main__` plays cases, `damage` draws
damages, `subjects` has the files and the commands, `endings` runs the program, `values` reads with
h5py and numpy."""
