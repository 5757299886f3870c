"""The version of every kind of record that is printed as JSON or kept: its `schema_version`.

A version goes up by one if a field is renamed, removed or means something else; a field that is added changes
none.
"""

from __future__ import annotations

# --- found --------------------------------------------------------------------------------------------------
SCORED_EDGE = 2  # `ueba score`
INCIDENT = 2  # `ueba incidents`, `ueba triage rules --dry-run`
BELOW_LINE = 1  # findings/below=*.json
DAY_SCORE = 1  # `ueba scores`
REVIEW = 1  # findings/suspects=*.json
ACTOR = 1  # `ueba suspects`
SUSPECT = 1  # `ueba suspects NAME`
RISK = 1  # `ueba risk`
CASE = 1  # `ueba cases`
EXPLANATION = 3  # `ueba explain`
USER_DAY = 1  # `ueba day`
PERIMETER = 1  # `ueba perimeter`
ENTITY = 1  # `ueba entity NAME`
ENTITY_NAME = 1  # `ueba entity`
NEWCOMER = 1  # `ueba newcomers`
CALIBRATION = 2  # `ueba calibration`
EVALUATION = 1  # `ueba evaluate`
EXPORT = 2  # `ueba export`
RUN = 1  # runs/*.json

# --- decided ------------------------------------------------------------------------------------------------
VERDICT = 2  # `ueba triage log`, feedback/verdicts.jsonl
RULE = 1  # `ueba triage rules`
RULE_CHANGE = 1  # feedback/rules.jsonl

# --- read ---------------------------------------------------------------------------------------------------
INGEST_REPORT = 2  # `ueba ingest`, manifests of the lake
LOG_FORMAT = 1  # `ueba formats`
REPORTER = 1  # `ueba sources`

# --- the graph ----------------------------------------------------------------------------------------------
QUESTION = 1  # `ueba ask list`
ANSWER = 1  # `ueba ask NAME`
QUERY = 1  # `ueba graph query`
GRAPH_SCHEMA = 1  # `ueba graph schema`
SERVER = 1  # `ueba graph server status`

# --- the installation ---------------------------------------------------------------------------------------
SETTING = 1  # `ueba config show`
CHECK = 1  # `ueba doctor`
