"""What an edge looks like against the past, as numbers for the model.

| file            | what it does                                                                       |
|-----------------|------------------------------------------------------------------------------------|
| `features.py`   | describes each edge of a day by numbers: the table of features, and their formulas |
| `peers.py`      | finds the accounts that share most partners, and whether they know a partner       |
| `negatives.py`  | makes up edges as an attacker would, which the model learns to tell from real ones |
| `tensors.py`    | turns the history into the message graph that the model reads                      |
| `neighbours.py` | finds who is most like whom, and what that rests on; the model does not read it    |

Everything here reads `ueba.detect.past.history` and changes nothing in it. Leaves out the model and its
scores (`ueba.detect.score.detector`).
"""
