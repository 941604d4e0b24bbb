"""Compares partwise with its peers; `scripts/bench` runs this.

`parts` holds one question a file. `others` runs the peers, each in a process of its own, so that
its peak memory is its own. The asking process stays small (it imports only the standard library):
the peak that the kernel reports for a child starts from the size of the process that started it.
"""
