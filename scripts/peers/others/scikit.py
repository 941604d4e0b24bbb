"""Runs scikit-learn's NMF(solver="cd") and MiniBatchNMF: error against time.

The clock stops while the error is computed.

The job: `path`, `scale`, `k`, `seed`, `solver` ("cd" or "minibatch"), `init` (None: the library's
default), `stop_at` (an error) and `limit` (seconds on the clock; mini-batches end where twice the
epochs would pass it).
"""

import sklearn.decomposition._nmf as inside
from sklearn.decomposition import NMF, MiniBatchNMF
from sklearn.utils import gen_batches

from .job import Watch, job, peak, say, worth_a_look
from .matrix import RelativeError, load


class Enough(Exception):
    """The run has reached the error or the time limit."""


def coordinate_descent(x, error, job):
    """One real fit. It has no callback, so this wraps the update that it calls twice an iteration
    (W, then H)."""
    update, calls, watch = inside._update_coordinate_descent, 0, Watch()

    def watched(x, w, ht, *rest, **options):
        nonlocal calls
        change = update(x, w, ht, *rest, **options)
        calls += 1
        # The second call updates H: it gets Xᵀ, H and W.
        if calls % 2 == 0 and worth_a_look(calls // 2):
            watch.hold()
            look(error(ht, w.T), calls // 2, watch.wall, job)
            watch.go()
        return change

    inside._update_coordinate_descent = watched
    NMF(job["k"], solver="cd", init=job["init"], random_state=job["seed"], tol=0, max_iter=100_000).fit_transform(x)


def mini_batches(x, error, job):
    """Batches of the default size, read in order. `transform` gives W, so its time counts at each
    point."""
    model, watch = MiniBatchNMF(job["k"], init=job["init"], random_state=job["seed"]), Watch()
    for epoch in range(1, 10_000):
        for batch in gen_batches(x.shape[0], model.batch_size):
            model.partial_fit(x[batch])
        watch.hold()
        if epoch & (epoch - 1) == 0:
            last = Watch()
            w = model.transform(x)
            last.hold()
            look(error(w, model.components_), epoch, watch.wall + last.wall, job)
            if 2 * watch.wall + last.wall > job["limit"]:
                raise Enough
        watch.go()


def look(reached, step, seconds, job):
    say(step=step, seconds=seconds, error=reached)
    if reached <= job["stop_at"] or seconds >= job["limit"]:
        raise Enough


def main():
    work = job()
    x = load(work["path"], work["scale"])
    error = RelativeError(x)
    try:
        {"cd": coordinate_descent, "minibatch": mini_batches}[work["solver"]](x, error, work)
    except Enough:
        pass
    say(peak=peak())


if __name__ == "__main__":
    main()
