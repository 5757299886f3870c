"""The question pack: Cypher queries that investigators need often, each a `.cypher` file in this folder that
Neo4j Browser can open.

    files        the files, read
    parameters   NAME=VALUE to the parameters of the query
    answers      rows from the graph, and names that the graph does not have

A file begins with comments: what it asks, with which parameters, and what the columns of the answer mean.
The rest is Cypher. The comments are the only place for names, types, defaults and columns. Values travel as
parameters of the query and never become its text, and the server ensures that the query only reads.

    // Title: one line
    // Purpose: why an investigator asks
    // Parameters:
    //   day (day, default last): its meaning
    //   :param day => '2026-01-21'
    // Columns:
    //   user: its meaning
    // Example: ueba ask first-time-logons --param day=2026-01-21

Types of parameters
    text
    user, machine       names of nodes, as are the next three
    place               a machine or resource; places: the same, and the parameter is given once for each;
                        the default `none` is none of them
    entity              a user, machine or resource
    incident            an id, or the beginning of one
    number
    day                 ISO date; `last` is the last day scored, or loaded if none was scored; the default
                        `day - 7` is seven days before the parameter `day`
    time                ISO 8601, UTC unless it names a zone

So that both servers are fast and stay within their memory, a question about a whole day finds the day's
relationships by their index: one type at a time, between ends without labels, with days compared to
parameters only; of LOGGED_ON and ACCESSED it collects one and then, in a subquery, the other. A question
about named entities begins at their nodes and looks through their relationships; there a day may be compared
with anything. A question about what does not exist goes through all nodes of a label. Every stage goes one
hop, and no pattern has a variable length.

Leaves out pictures, and queries of one's own: those are `ueba graph query`.
"""

from ueba.investigate.questions.answers import ask, last_day, name_entities, unknown_incident
from ueba.investigate.questions.files import Parameter, Question, load, names, parse
from ueba.investigate.questions.parameters import LAST, check, values

__all__ = [
    "LAST",
    "Parameter",
    "Question",
    "ask",
    "check",
    "last_day",
    "load",
    "name_entities",
    "names",
    "parse",
    "unknown_incident",
    "values",
]
