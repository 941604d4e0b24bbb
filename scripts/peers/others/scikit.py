"""Runs scikit-learn's NMF(solver="cd") and MiniBatchNMF to their own end: error against time.

The library's own tolerance (its default) ends a run. The number of iterations does not: its
default, 200, ends many runs far above the error that they would reach. The clock stops while the
error is computed.

The job: `path`, `scale`, `k`, `seed`, `solver` ("cd" or "minibatch"), `init` (None: the library's
default) and `limit` (seconds on the clock).
"""

import math

import sklearn.decomposition._nmf as inside
from sklearn.decomposition import NMF, MiniBatchNMF

from .job import LIMIT, RULE, Watch, job, peak, say, worth_a_look
from .matrix import RelativeError, load

ITERATIONS = 1_000_000


class Late(Exception):
    """The run has reached the time limit."""


def coordinate_descent(x, error, job):
    """One real fit, with its own random numbers and its own rule to stop.

    It has no callback, so this wraps the update that it calls twice an iteration (W, then H). Warm
    restarts would begin each iteration anew with other random numbers, and never stop by
    themselves.
    """
    update, calls, watch = inside._update_coordinate_descent, 0, Watch()

    def watched(x, w, ht, *rest, **options):
        nonlocal calls
        change = update(x, w, ht, *rest, **options)
        calls += 1
        # The second call updates H: it gets Xᵀ, H and W.
        if calls % 2 == 0 and (worth_a_look(calls // 2) or watch.now() >= job["limit"]):
            watch.hold()
            say(step=calls // 2, seconds=watch.wall, error=error(ht, w.T))
            if watch.wall >= job["limit"]:
                raise Late
            watch.go()
        return change

    inside._update_coordinate_descent = watched
    model = NMF(job["k"], solver="cd", init=job["init"], random_state=job["seed"], max_iter=ITERATIONS)
    w = model.fit_transform(x)
    watch.hold()
    say(step=model.n_iter_, seconds=watch.wall, error=error(w, model.components_))


def mini_batches(x, error, job):
    """One real fit, with batches of the default size. `transform` gives W, so its time counts at
    each point."""
    watch = Watch()

    def look(epoch, transform):
        last = Watch()
        w, h = transform()
        last.hold()
        say(step=epoch, seconds=watch.wall + last.wall, error=error(w, h))

    class Watched(MiniBatchNMF):
        """Calls this after each batch, to decide whether to stop."""

        def _minibatch_convergence(self, batch, cost, h, before, samples, step, steps):
            watch.hold()
            epoch, part = divmod(step + 1, math.ceil(samples / self._batch_size))
            late = watch.wall >= job["limit"]
            if late or (part == 0 and epoch & (epoch - 1) == 0):
                look(epoch, lambda: (self._solve_W(x, h, self._transform_max_iter), h))
            if late:
                raise Late
            watch.go()
            return super()._minibatch_convergence(batch, cost, h, before, samples, step, steps)

    # `transform` keeps the default number of iterations.
    iterations = {"max_iter": ITERATIONS, "transform_max_iter": 200}
    model = Watched(job["k"], init=job["init"], random_state=job["seed"], **iterations).fit(x)
    watch.hold()
    look(model.n_iter_, lambda: (model.transform(x), model.components_))


def main():
    work = job()
    x = load(work["path"], work["scale"])
    error, end = RelativeError(x), RULE
    try:
        {"cd": coordinate_descent, "minibatch": mini_batches}[work["solver"]](x, error, work)
    except Late:
        end = LIMIT
    say(peak=peak(), end=end)


if __name__ == "__main__":
    main()
