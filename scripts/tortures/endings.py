"""Runs the program until it ends or finds no end, and checks how it ended."""

import os
import pathlib
import subprocess
import time

# A call of the HDF5 library without end is noticed after a minute of computing. On a busy machine
# that takes any time, so the processor's seconds count; and seconds in which it computes nothing.
COMPUTING, ASLEEP = 150, 300
TICK = 0.5


def run(binary, line, folder, computing=COMPUTING):
    """Exit code, stdout and stderr of `partwise LINE` in `folder`. If it finds no end, or computes
    for more than `computing` seconds, it is killed, the code is None, and the last text says so."""
    command, pipe = [binary, *line.split()], subprocess.PIPE
    # Signals stay as they are in Python, so that a file beyond a limit of its size is an error.
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, restore_signals=False
    ) as process:
        computed, moved = 0, time.monotonic()
        while True:
            try:
                out, err = process.communicate(timeout=TICK)
                return process.returncode, out, err.decode("utf-8", "replace")
            except subprocess.TimeoutExpired:
                now = seconds_of_processor(process.pid)
                if now > computed + 0.1:
                    computed, moved = now, time.monotonic()
                if computed > computing or time.monotonic() - moved > ASLEEP:
                    process.kill()
                    slept = computed <= computing
                    return None, b"", f"no end: {'it sleeps' if slept else f'it has computed for {computed:.0f} s'}"


def fault(code, err, allowed):
    """What is wrong with the exit code and the lines on stderr; empty if nothing is."""
    if code < 0:
        return f"ended by signal {-code}"
    if code not in allowed:
        return f"ended with {code}"
    errors = [line for line in err.splitlines() if not line.startswith(("partwise: warning: ", "pass "))]
    errors = [line for line in errors if line.startswith("partwise: ")]
    if code and (not err.endswith("\n") or not err.splitlines()[-1].startswith("partwise: ")):
        return "the last line is no error of the program"
    if code and len([line for line in errors if not is_note(line)]) != 1:
        return "not exactly one line of an error"
    return ""


def seconds_of_processor(pid):
    """The time that a process, which may have ended, has computed."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_note(line):
    """Whether a line of the program reports a fact and no failure."""
    return any(words in line for words in ("resumes from", "checkpoint of pass", "starts at the beginning"))
