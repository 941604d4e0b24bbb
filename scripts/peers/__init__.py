"""partwise beside its peers: what `scripts/bench` runs.

`parts` holds one question a file, `others` what runs a peer, each in a process of its own so that its peak memory is
its own. The process that asks stays small (nothing but the standard library): what the kernel reports as the peak of a
child starts from the size of the process that started it.
"""
