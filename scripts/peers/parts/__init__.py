"""The comparison, one question a file: each has `run(bench)`, which measures and reports its
figures."""
