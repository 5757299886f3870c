"""What `scripts/neighbours` counts, on numbers made up by hand."""

import numpy as np
import pytest
from detect_world import learned
from script_files import script

counted = script("neighbours")


def test_the_share_is_of_the_nearest_whose_label_is_known() -> None:
    """Six of one department on one axis, six of another on the other, and one of neither between them."""
    direction = np.array([[1, 0]] * 6 + [[0, 1]] * 6 + [[1, 1]], np.float32)
    label = np.array([0] * 6 + [1] * 6 + [-1])
    everybody = np.ones(13, bool)
    assert counted.same(direction, label, everybody) == 1
    label[0] = 1  # all five near it differ, and it is one of the five near to each of the other five
    assert counted.same(direction, label, everybody) == pytest.approx((6 * 5 + 5 * 4) / (12 * 5))
    assert counted.same(direction, label, np.arange(13) == 0) == 0
    assert counted.chance(np.array([0, 0, 0, 1, -1])) == pytest.approx(6 / 12)


def test_a_place_has_the_label_of_most_days() -> None:
    history = learned([("ann", "pc1", "srv"), ("bob", "pc1", "srv"), ("cat", "pc3", "srv")])
    user = counted.codes(history.users.names, {"ann": {"team": "a"}, "bob": {"team": "b"}}, "team")
    assert user.tolist() == [0, 1, -1]
    places = counted.of_places(history, "user_source", user)
    assert dict(zip(history.places.names, places.tolist(), strict=True)) == {"pc1": -1, "srv": -1, "pc3": -1}
    user[1] = 0
    places = counted.of_places(history, "user_source", user)
    assert dict(zip(history.places.names, places.tolist(), strict=True)) == {"pc1": 0, "srv": -1, "pc3": -1}
