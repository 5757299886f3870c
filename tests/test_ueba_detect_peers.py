"""Who is near whom, on two teams worked out by hand, and against the definition written plainly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ueba.detect.look import peers
from ueba.detect.look.peers import Peers

# Users 0, 1, 2 are one team on places 0, 1; users 3, 4 another on 2, 3. User 2 does not know place 1 yet.
TEAMS = (np.array([0, 0, 1, 1, 2, 3, 3, 4, 4]), np.array([0, 1, 0, 1, 0, 2, 3, 2, 3]))

pair_lists = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30, unique=True)


def test_what_the_team_knows_is_supported() -> None:
    asked = (np.array([2, 2, 3, 0]), np.array([1, 2, 0, 1]))
    support = Peers(TEAMS, (5, 4)).support(*asked)
    # Both peers of user 2 know place 1, none knows place 2. No peer of user 3 knows place 0. The peers of
    # user 0 are 1 and 2; their cosines are 1 and |p2|^2 / (|p0| |p2|), of the profiles (1/sqrt 3, 1/sqrt 2)
    # and (1/sqrt 3, 0). Only user 1 knows place 1.
    cosine = (1 / 3) / (np.sqrt(1 / 3 + 1 / 2) * np.sqrt(1 / 3))
    assert support.tolist() == pytest.approx([1.0, 0.0, 0.0, 1 / (1 + cosine)], abs=1e-6)


def test_the_nearest_comes_first() -> None:
    met = sparse.csr_matrix((np.ones(len(TEAMS[0]), np.float32), TEAMS), (5, 4))
    peer, weight = peers.nearest(peers.profiles(met), np.array([0, 4]))
    assert peer.shape == weight.shape == (2, peers.PEERS)
    cosine = (1 / 3) / (np.sqrt(1 / 3 + 1 / 2) * np.sqrt(1 / 3))  # of users 0 and 2, as above
    assert peer[0, :2].tolist() == [1, 2]
    assert weight[0, :3].tolist() == pytest.approx([1 / (1 + cosine), cosine / (1 + cosine), 0], abs=1e-6)
    assert peer[1, 0] == 3 and weight[1, :2].tolist() == pytest.approx([1, 0])  # the only other of the team


def test_only_the_nearest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """User 0's nearest is user 1, who knows place 1; with one peer only the share is whole."""
    monkeypatch.setattr(peers, "PEERS", 1)
    assert Peers(TEAMS, (5, 4)).support(np.array([0]), np.array([1])).tolist() == pytest.approx([1.0])


def test_an_entity_that_shares_no_partner_has_no_peers() -> None:
    alone = (np.array([0]), np.array([0]))
    assert Peers(alone, (3, 2)).support(np.array([0, 2]), np.array([1, 0])).tolist() == [0.0, 0.0]
    nothing = np.zeros(0, np.int64)
    assert Peers((nothing, nothing), (2, 2)).support(np.array([1]), np.array([1])).tolist() == [0.0]


def test_a_partner_of_very_many_brings_nobody_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LARGEST_AUDIENCE", 2)
    met = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], np.float32))
    peer, weight = peers.nearest(peers.profiles(met), np.array([0, 1]))
    assert peer[:, 0].tolist() == [2, 2]  # user 0 shares only place 0 with user 1
    assert weight[:, :2].tolist() == [[1.0, 0.0], [1.0, 0.0]]


@given(pair_lists)
def test_support_equals_its_definition(pairs: list[tuple[int, int]]) -> None:
    met = np.zeros((6, 6))
    for left, right in pairs:
        met[left, right] = 1
    audience = met.sum(0)
    profile = met * np.where(audience > 1, 1 / np.sqrt(np.maximum(audience, 1)), 0)
    length = np.linalg.norm(profile, axis=1, keepdims=True)
    alike = (profile / np.maximum(length, 1e-9)) @ (profile / np.maximum(length, 1e-9)).T
    np.fill_diagonal(alike, 0)
    expected = (alike @ met) / np.maximum(alike.sum(1, keepdims=True), 1e-9)
    left, right = np.divmod(np.arange(36), 6)
    known = np.array(pairs).T
    support = Peers((known[0], known[1]), (6, 6)).support(left, right)
    np.testing.assert_allclose(support, expected.ravel(), atol=1e-5)


@given(pair_lists, st.randoms(use_true_random=False))
def test_the_order_of_pairs_changes_nothing_and_inputs_stay(pairs: list[tuple[int, int]], random) -> None:
    left, right = np.divmod(np.arange(36), 6)
    order = np.array(random.sample(range(36), 36))
    known, shuffled = np.array(pairs).T, np.array(random.sample(pairs, len(pairs))).T
    inputs = [known.copy(), left.copy(), right.copy()]
    support = Peers((known[0], known[1]), (6, 6)).support(left, right)
    again = Peers((shuffled[0], shuffled[1]), (6, 6)).support(left[order], right[order])
    np.testing.assert_allclose(again, support[order], atol=1e-6)
    assert all(map(np.array_equal, (known, left, right), inputs))


def test_peers_found_before_are_found_again() -> None:
    """What was asked for first does not change what is found, and nothing is searched for twice."""
    kept = Peers(TEAMS, (5, 4))
    left, right = np.divmod(np.arange(20), 4)
    kept.support(left[8:12], right[8:12])
    kept.support(left[:12], right[:12])
    assert kept.support(left, right).tolist() == Peers(TEAMS, (5, 4)).support(left, right).tolist()
    assert len(kept.peer) == len(kept.weight) == 5


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), min_size=1, max_size=30, unique=True))
def test_ties_go_to_the_first_peer(pairs: list[tuple[int, int]]) -> None:
    """Two peers of eight entities: the highest cosines, and the lowest number among equal ones."""
    met = np.zeros((8, 6), np.float32)
    met[tuple(np.array(pairs).T)] = 1
    profile = peers.profiles(sparse.csr_matrix(met))
    cosines = (profile @ profile.T).toarray()
    np.fill_diagonal(cosines, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "PEERS", 2)
        peer, weight = peers.nearest(profile, np.arange(8))
    for row, cosine in enumerate(cosines):
        expected = [int(number) for number in np.argsort(-cosine, kind="stable")[:2] if cosine[number] > 0]
        assert peer[row, weight[row] > 0].tolist() == expected
