"""Simpler methods to rank a day's edges by, from a rule to matrix factorisation. Each names its paper.

One protocol: `fit(training) -> scorer`, and `scorer(day)` returns nats for every edge of the day, higher is
stranger. A method that streams (`midas`, `decayed_counts`) scores every day in order, and learns it after
scoring it. All see what the detector sees: the history before the day. Each sums over the three pairs of an
edge, user-target, user-source and source-target. Leaves out methods that need torch; those are in `neural`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.graph import Snapshot
from ueba.arrays import Array, Floats, Ints
from ueba.detect.look.features import FEATURE_NAMES
from ueba.detect.look.tensors import GRAPH_RELATIONS, ROLES
from ueba.detect.past.encoded import HOURS, EncodedEdges
from ueba.detect.past.pairs import RELATIONS, pair_keys
from ueba.evaluate.protocol import Day, Scorer, Training

FACTORS = 16  # dimensions of a factorisation
REFIT_DAYS = 7  # after which pairs are factorised again
LEAST = 1e-9  # a probability; about 20 nats


def column(described: Floats, name: str) -> Array:
    """One feature of described edges, [edges]."""
    result: Array = described[:, FEATURE_NAMES.index(name)].astype(np.float64)
    return result


def over_pairs(encoded: EncodedEdges, nats: Callable[[str, Ints, Ints], Array]) -> Array:
    """Sum over the three pairs of each edge of `nats(relation, left, right)`; nothing for a pair with an
    unknown end. [edges]"""
    total = np.zeros(len(encoded))
    for relation in RELATIONS:
        left, right = encoded.pairs(relation)
        there = (left >= 0) & (right >= 0)
        total[there] += nats(relation, left[there], right[there])
    return total


# --- rules and counts ---------------------------------------------------------------------------------------


def _rarity(day: Day, described: Floats, relation: str) -> Array:
    """-log of the share of entities on the left that ever met the one on the right, [edges]."""
    left, right = relation.split("_")
    entities = len(day.graph.x[ROLES[left]])
    rare: Array = np.log1p(entities) - column(described, f"{relation}.breadth_{right}")
    return rare


def first_seen(training: Training) -> Scorer:
    """The rule of every SIEM: pairs never seen before, the rarest first. A pair seen before scores
    nothing."""

    def score(day: Day) -> Array:
        described = day.features
        new = [
            column(described, f"{relation}.new") * _rarity(day, described, relation) for relation in RELATIONS
        ]
        return sum(new, np.zeros(len(described)))

    return score


def popularity(training: Training) -> Scorer:
    """How few ever reach this target and act from this source, whoever the user is."""

    def score(day: Day) -> Array:
        described = day.features
        rare: Array = _rarity(day, described, "user_target") + _rarity(day, described, "user_source")
        return rare

    return score


def cache(training: Training) -> Scorer:
    """Surprise of a cache model of partners, both ways (Teh 2006, "A hierarchical Bayesian language model
    based on Pitman-Yor processes"; Heard and Rubin-Delanchy 2016, "Network-wide anomaly detection via the
    Dirichlet process")."""
    names = [f"{r}.surprise_{b}_given_{a}" for r in RELATIONS for a, b in (r.split("_"), r.split("_")[::-1])]

    def score(day: Day) -> Array:
        described = day.features
        return sum((column(described, name) for name in names), np.zeros(len(described)))

    return score


class Counts:
    """Counts by key that grow with the keys; float64 [keys, columns]."""

    def __init__(self, columns: int = 1) -> None:
        self.key = np.zeros(0, np.int64)
        self.value = np.zeros((0, columns))

    def slots(self, key: Ints) -> Ints:
        """The row of each key, new ones added. int64 [keys]"""
        fresh = np.setdiff1d(key, self.key)
        at = np.searchsorted(self.key, fresh)
        self.key = np.insert(self.key, at, fresh)
        self.value = np.insert(self.value, at, 0, axis=0)
        return np.searchsorted(self.key, key)


def decayed_counts(training: Training, half_life_days: float = 14.0) -> Scorer:
    """On what share of days a pair was seen, older days counting less (Cormode et al. 2008, "Exponentially
    decayed aggregates on data streams")."""
    pairs = {relation: Counts() for relation in RELATIONS}
    days, last = 0.0, 0

    def score(day: Day) -> Array:
        nonlocal days, last
        fade = 0.5 ** ((day.number - last) / half_life_days)
        days, last = days * fade, day.number

        def nats(relation: str, left: Ints, right: Ints) -> Array:
            counts, keys = pairs[relation], pair_keys(left, right)
            rows = counts.slots(keys)
            counts.value *= fade
            seen = counts.value[rows, 0]
            counts.value[np.unique(rows)] += 1
            rare: Array = np.log(days + 0.2) - np.log(seen + 0.1)
            return rare

        result = over_pairs(day.encoded, nats)
        days += 1
        return result

    return score


def midas(training: Training, fade: float = 0.5) -> Scorer:
    """MIDAS-R (Bhatia et al. 2020, "MIDAS: Microcluster-based detector of anomalies in edge streams"): more
    of an edge, or of one of its ends, in this hour than the mean of all hours would have. Counts are exact
    where the paper sketches them, an hour's edges count together, and the strangest of an edge's hours and
    pairs is its score: -log of the tail of chi-squared."""
    from scipy.special import log_ndtr

    kinds = {
        relation: tuple(Counts(columns=2) for _ in range(3)) for relation in RELATIONS
    }  # now and ever, of edges and ends
    hours_seen = 0

    def score(day: Day) -> Array:
        nonlocal hours_seen
        encoded = day.encoded
        share = encoded.count / np.maximum(encoded.hours.sum(1), 1)
        worst = np.zeros(len(encoded))
        for relation, counters in kinds.items():
            left, right = encoded.pairs(relation)
            there = (left >= 0) & (right >= 0)
            for counts, keys in zip(counters, (pair_keys(left, right), left, right), strict=True):
                rows = counts.slots(keys[there])
                found = _chi_squared(counts, rows, encoded.hours[there], share[there], hours_seen, fade)
                worst[there] = np.maximum(worst[there], found)
        hours_seen += HOURS
        nats: Array = -np.log(2) - log_ndtr(-np.sqrt(worst))
        return nats

    return score


def _chi_squared(
    counts: Counts, rows: Ints, hours: npt.NDArray[np.bool_], share: Floats, before: int, fade: float
) -> Array:
    """The most that each edge's count deviates in an hour of its day, which is counted on the way. [edges]"""
    worst = np.zeros(len(rows))
    for hour in range(HOURS):
        here, t = hours[:, hour], before + hour + 1
        counts.value[:, 0] *= fade
        counts.value += np.bincount(rows[here], share[here], len(counts.value))[:, None]
        now, ever = counts.value[rows[here]].T
        if t > 1:
            worst[here] = np.maximum(worst[here], ((now - ever / t) * t) ** 2 / (ever * (t - 1)))
    return worst


# --- matrix factorisation -----------------------------------------------------------------------------------


def poisson_factorisation(training: Training) -> Scorer:
    """Each pair is known with probability 1 - exp(-w h), factors by the Kullback-Leibler loss (Turcotte et
    al. 2016, "Poisson factorization for peer-based anomaly detection"; Sanna Passino et al. 2022, "Graph
    link prediction in computer networks using Poisson matrix factorisation"). A pair known before counts by
    its factors alone, as any other."""
    from sklearn.decomposition import NMF

    def factors(adjacency: Any) -> tuple[Array, Array]:
        settings = {
            "solver": "mu",
            "beta_loss": "kullback-leibler",
            "init": "random",
            "max_iter": 60,
            "tol": 0,
        }
        model = NMF(_rank(adjacency), random_state=training.seed, **settings)
        return model.fit_transform(adjacency), model.components_.T

    return _factorised(factors, lambda rate: -np.log(np.maximum(-np.expm1(-rate), LEAST)))


def svd(training: Training) -> Scorer:
    """Truncated singular values of the pairs known: a random dot product graph (Sanna Passino et al. 2021,
    "Link prediction in dynamic networks using random dot product graphs")."""
    from sklearn.decomposition import TruncatedSVD

    def factors(adjacency: Any) -> tuple[Array, Array]:
        model = TruncatedSVD(_rank(adjacency), random_state=training.seed)
        return model.fit_transform(adjacency), model.components_.T

    return _factorised(factors, lambda likely: -np.log(np.clip(likely, LEAST, 1)))


def _rank(adjacency: Any) -> int:
    left, right = adjacency.shape
    return max(1, min(FACTORS, int(left) - 1, int(right) - 1))


def _factorised(factors: Callable[[Any], tuple[Array, Array]], nats: Callable[[Array], Array]) -> Scorer:
    """Scores by the dot product of the factors of each pair's ends, fitted again every week. An entity
    without pairs has the mean of the others."""
    factors_of: dict[str, tuple[Array, Array]] = {}  # by relation
    fitted_on = -REFIT_DAYS

    def score(day: Day) -> Array:
        nonlocal fitted_on
        if day.number - fitted_on >= REFIT_DAYS:
            graph, fitted_on = day.graph, day.number
            for relation in RELATIONS:
                left, right = factors(_adjacency(graph, relation))
                factors_of[relation] = _with_mean(left), _with_mean(right)

        def of_pairs(relation: str, left: Ints, right: Ints) -> Array:
            a, b = (
                side[np.minimum(ends, len(side) - 1)]
                for side, ends in zip(factors_of[relation], (left, right), strict=True)
            )
            found: Array = nats((a * b).sum(1))
            return found

        return over_pairs(day.encoded, of_pairs)

    return score


def _adjacency(graph: Snapshot, relation: str) -> Any:
    """Known pairs of a relation as a sparse matrix of ones, [entities, entities]."""
    from scipy.sparse import csr_matrix

    (left_type, _, right_type), (left, right) = (
        GRAPH_RELATIONS[relation],
        graph.pairs[GRAPH_RELATIONS[relation]],
    )
    return csr_matrix(
        (np.ones(len(left)), (left, right)), (len(graph.x[left_type]), len(graph.x[right_type]))
    )


def _with_mean(side: Array) -> Array:
    """The mean factors in place of all zeros, and in a last row for entities that come later."""
    present: Array = np.abs(side).max(1) > 1e-12
    mean = side[present].mean(0)
    result: Array = np.vstack([np.where(present[:, None], side, mean), mean])
    return result


# --- supervised by negatives --------------------------------------------------------------------------------


def linear(training: Training) -> Scorer:
    """Logistic regression on the detector's features and examples: the detector without the graph and the
    hidden layer (contrast with negatives: Gutmann and Hyvarinen 2010, "Noise-contrastive estimation")."""
    from sklearn.linear_model import LogisticRegression

    examples = [edges for day in training.with_examples for _, edges in day.examples(training.seed)]
    described, label = (
        np.concatenate([part.features for part in examples]),
        np.concatenate([part.label for part in examples]),
    )
    mean, scale = described.mean(0), described.std(0)
    scale = np.where(scale < 1e-6, np.inf, scale + 1e-3)  # what never varied teaches nothing

    def standard(values: Floats) -> Array:
        values = (values - mean) / scale
        return values.clip(-5, 5)

    model = LogisticRegression(max_iter=1000, tol=1e-3).fit(standard(described), label)

    def score(day: Day) -> Array:
        nats: Array = np.logaddexp(0, model.decision_function(standard(day.features)))
        return nats

    return score
