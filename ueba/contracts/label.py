"""Labels: which events are an attack, and which are odd and harmless. Only evaluation reads them.

| column | type | meaning |
|---|---|---|
| time | UTC timestamp; in CSV: seconds since an epoch, or ISO 8601 | when the event happened |
| user, source, target | text | as the log names them; source is empty if the log does not name it |
| kind | text | the kind of campaign (`ueba.campaigns.KINDS`), or of the harmless event |
| campaign | integer | which events belong together; -1 for none, RED_TEAM for a red team's without numbers |
| malicious | 0 or 1 | 0: odd and harmless, as an administrator's sweep |

On disk: CSV with a header, as `ueba simulate` writes it (`labels.csv`) and `ueba evaluate --labels` reads it.
"""

from __future__ import annotations

LABEL_COLUMNS = ("time", "user", "source", "target", "kind", "campaign", "malicious")
NO_CAMPAIGN = -1
RED_TEAM = -2  # a real red team: the days on which it was active are counted, not its campaigns
