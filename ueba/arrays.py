"""Names for the types of numpy arrays. A name says what the numbers are; docstrings give the shape.

Leaves out the arrays of `models`, which imports nothing from `ueba`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]
