"""Attack campaigns, written from observed edges only: any lake can be given campaigns, and what is found of
them be counted.

    scene        daily edges -> Scene: who acts from where, goes where, when and how, and who is like whom
    kinds        the kinds of campaigns: a function for each, Scene and victim -> Plan, and a table of them
    names        names that nobody has, in the form of those that there are, for who and what is new
    events       Scene -> events of campaigns, each with its own victim and its kind as label
    injection    a lake -> a copy that holds the campaigns too, and their labels

In everything that a count can see, a campaign looks like work: hours of the victim, logon types of the
target, targets as popular as those that people come to anew. What is different is that no colleague goes
there. `strength` says how different: the larger, the more steps, and the farther from what colleagues use.

Kinds follow MITRE ATT&CK; pivots and switched credentials are those of Hopper (Ho et al. 2021,
https://arxiv.org/abs/2105.13442); campaigns made from a network's own edges are the idea of Bowman et al.
2020 (https://www.usenix.org/conference/raid2020/presentation/bowman). Leaves out: exploits and malware, and
all that an attacker does without logging on.
"""

from ueba.campaigns.events import EVENT_COLUMNS, Wanted, invent
from ueba.campaigns.injection import inject
from ueba.campaigns.kinds import KINDS
from ueba.campaigns.scene import OBSERVED_DAYS, Scene, as_observed, observe

__all__ = [
    "EVENT_COLUMNS",
    "KINDS",
    "OBSERVED_DAYS",
    "Scene",
    "Wanted",
    "as_observed",
    "inject",
    "invent",
    "observe",
]
