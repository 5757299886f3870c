"""Whether an attack is one case, and a case one attack, by labels.

A campaign is *split* if several cases show edges of it, and a case is *mixed* if it shows edges of several
campaigns. Only what was reported counts: that a campaign was missed is measured elsewhere (`measure`). The
red team of labels has no numbers, and so is none of the campaigns.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ueba.evaluate.measure import CROWD, KEY


class CaseCounts(NamedTuple):
    """incidents, cases: reported; attacks: cases with a campaign; campaigns: in any case; split: of the
    campaigns; mixed: of the attacks; mixed_incidents: incidents with several campaigns; crowds: incidents of
    more than CROWD edges"""

    incidents: int
    cases: int
    attacks: int
    campaigns: int
    split: int
    mixed: int
    mixed_incidents: int
    crowds: int


def case_counts(edges: pd.DataFrame, malicious: pd.DataFrame) -> CaseCounts:
    """Counts of reported cases. edges: those in incidents, columns KEY, incident, case; malicious: labels"""
    labelled = malicious.loc[malicious["campaign"] >= 0, [*KEY, "campaign"]].drop_duplicates()
    shown = edges.merge(labelled, on=KEY)
    campaigns_of_case = shown.groupby("case")["campaign"].nunique()
    cases_of_campaign = shown.groupby("campaign")["case"].nunique()
    return CaseCounts(
        incidents=edges["incident"].nunique(),
        cases=edges["case"].nunique(),
        attacks=len(campaigns_of_case),
        campaigns=len(cases_of_campaign),
        split=int((cases_of_campaign > 1).sum()),
        mixed=int((campaigns_of_case > 1).sum()),
        mixed_incidents=int((shown.groupby("incident")["campaign"].nunique() > 1).sum()),
        crowds=int((edges.groupby("incident").size() > CROWD).sum()),
    )
