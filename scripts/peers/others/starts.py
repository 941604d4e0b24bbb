"""Prints the error of scikit-learn's NMF(solver="cd") from several starts.

The job: `path`, `k`, `starts` (pairs of `init` and seed), `tol`, `iterations`.
"""

from sklearn.decomposition import NMF

from .job import job, say
from .matrix import RelativeError, load


def main():
    work = job()
    x = load(work["path"])
    error, errors = RelativeError(x), []
    for init, seed in work["starts"]:
        model = NMF(
            work["k"], init=init, solver="cd", tol=work["tol"], max_iter=work["iterations"], random_state=seed
        )
        errors.append(error(model.fit_transform(x), model.components_))
    say(errors=errors)


if __name__ == "__main__":
    main()
