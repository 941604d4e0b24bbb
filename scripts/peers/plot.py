"""Draws error against time."""

import math

# Okabe and Ito's colours, which differ for every kind of colour vision. Each line also has a
# marker, and a name at its end.
STYLE = {
    "partwise": ("#0072B2", "o"),
    "partwise, 1 thread": ("#56B4E9", "o"),
    "scikit-learn CD": ("#D55E00", "s"),
    "scikit-learn CD, its default start": ("#E69F00", "D"),
    "scikit-learn MiniBatchNMF": ("#CC79A7", "^"),
    "RcppML": ("#009E73", "v"),
    "bixverse": ("#000000", "P"),
    "bixverse, its default start": ("#999999", "X"),
}
# The smallest and largest excess over the lowest error that the axis spans.
LOWEST, HIGHEST = 1e-4, 1.0


def draw(traces, best, path):
    """Draws one panel for each data set: the excess over the lowest error known against the
    seconds, both logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter

    # Text stays text, so that it can be searched and the file stays small. With a fixed salt the
    # same data give the same file.
    pyplot.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "partwise", "font.family": "sans-serif", "font.size": 10}
    )
    figure, panels = pyplot.subplots(len(traces), 1, figsize=(8.6, 0.5 + 3.9 * len(traces)), squeeze=False)
    figure.patch.set_facecolor("white")
    for panel, (name, lines) in zip(panels[:, 0], traces.items(), strict=True):
        for trace in sorted(lines, key=lambda trace: trace.who != "partwise"):
            if not trace.points or trace.who not in STYLE:
                continue
            color, marker = STYLE[trace.who]
            seconds = [point[0] for point in trace.points]
            above = [max(point[1] / best[name] - 1, LOWEST) for point in trace.points]
            panel.plot(
                seconds, above, color=color, marker=marker, markersize=3.5, linewidth=1.8, solid_capstyle="round"
            )
        for level, text in ((0.01, "+ 1 %"), (0.001, "+ 0.1 %")):
            panel.axhline(level, color="#888888", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
            panel.annotate(
                text,
                (0, level),
                xycoords=("axes fraction", "data"),
                xytext=(4, 3),
                textcoords="offset points",
                color="#555555",
                fontsize=9,
            )
        panel.set(xscale="log", yscale="log", ylim=(LOWEST * 0.7, HIGHEST))
        low, high = panel.get_xlim()
        # Room on the right for the names.
        panel.set_xlim(low, high * (high / low) ** 0.42)
        label(panel, [trace for trace in lines if trace.points and trace.who in STYLE], best[name])
        panel.set_title(name, loc="left", fontsize=11, fontweight="bold")
        panel.set_ylabel("error above the lowest known")
        panel.set_xlabel("seconds")
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_formatter(NullFormatter())
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25, linewidth=0.6)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def label(panel, lines, best):
    """Writes names at the ends of lines, moved apart where they would overlap."""

    def end(trace):
        return max(trace.points[-1][1] / best - 1, LOWEST)

    spread, least = math.log(HIGHEST / LOWEST) * 0.062, -math.inf
    for trace in sorted(lines, key=end):
        least = max(math.log(end(trace)), least + spread)
        panel.annotate(
            trace.who,
            (trace.points[-1][0], end(trace)),
            xytext=(panel.get_xlim()[1], math.exp(least)),
            textcoords="data",
            ha="right",
            va="center",
            color=STYLE[trace.who][0],
            fontsize=9.5,
            fontweight="bold" if trace.who == "partwise" else None,
            arrowprops={"arrowstyle": "-", "color": STYLE[trace.who][0], "linewidth": 0.5, "alpha": 0.5},
        )
