"""Compares the prediction of `partwise plan` with the measured peak, for each fit of the other
parts."""


def run(bench):
    predicted, seen = {}, {}
    for source, options, bytes_predicted, bytes_seen in bench.program.predictions:
        # Seeds and repetitions are one case: the highest peak counts.
        case = source, " ".join(options)
        predicted[case] = bytes_predicted
        seen[case] = max(seen.get(case, 0), bytes_seen)
    for case, most in seen.items():
        note = f"{predicted[case] / 2**20:.0f} MiB, seen {most / 2**20:.0f} MiB; fit {case[1]}"
        bench.figure(
            "memory",
            case[0],
            "memory that `plan` predicts, of the peak seen",
            predicted[case] / most,
            least=1.0,
            most=1.3,
            note=note,
        )
