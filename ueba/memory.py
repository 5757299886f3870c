"""Memory: the model, the history before a day, verdicts, rules and excluded edges of a workspace.

A night scores, trains and compares with one `Memory`, so that the model is loaded and the verdict log is read
once. Leaves out scoring and training (`ueba.stages`).
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property, partial

from ueba import findings, state
from ueba.config import Config
from ueba.contracts.incident import ModelFacts
from ueba.contracts.verdict import Verdict
from ueba.detect.day import Past
from ueba.detect.past import lessons, walk
from ueba.detect.past.history import History, date_of
from ueba.detect.past.lessons import Lessons
from ueba.detect.score import carryover, detector
from ueba.detect.score.detector import Detector
from ueba.errors import WorkspaceError
from ueba.ingest import lake
from ueba.ingest.identity import entities
from ueba.triage import log, rules
from ueba.triage.log import Log
from ueba.triage.rules import Rule
from ueba.workspace import Workspace


class Memory:
    """The memory of a workspace. A part is read from disk when it is first used, and kept."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        self.workspace = workspace
        self.config = config
        self._model: Detector | None = None

    # --- what analysts decided ------------------------------------------------------------------------------

    @cached_property
    def verdict_log(self) -> Log:
        return log.read(self.workspace.root)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The last verdict on each incident."""
        return self.verdict_log.latest

    @cached_property
    def rules(self) -> list[Rule]:
        """The rules in force."""
        return rules.installed(self.workspace.root)

    # --- the model ------------------------------------------------------------------------------------------

    @property
    def model(self) -> Detector:
        """The model in use. Raises WorkspaceError if there is none, or it is damaged."""
        if self._model is None:
            self._model = Detector.load(self.workspace.model)
        return self._model

    @property
    def model_facts(self) -> ModelFacts | None:
        """What is recorded of the model in use, None if there is no model. Does not load the model. Raises
        WorkspaceError if the record is damaged or of another version."""
        if self._model is not None:
            return self._model.facts
        return detector.read_facts(self.workspace.model) if state.is_there(self.workspace.model) else None

    def model_for(self, day: dt.date) -> Detector:
        """The model in use, to score a day. Raises WorkspaceError if it has learned from that day or a later
        one, or there is no model."""
        model = self.model
        if not model.facts.learned_before(day):
            raise WorkspaceError(
                f"the model has learned from days up to {model.facts.trained_until}, so {day} would be scored"
                f" by what came after it; `ueba train --until` an earlier day, or `ueba backtest`"
            )
        return model

    def can_score(self, day: dt.date) -> bool:
        """Whether there is a model that may score a day."""
        facts = self.model_facts
        return facts is not None and facts.learned_before(day)

    def replace_model(self, model: Detector, history: History) -> None:
        """Replace the model in use and the stored history. history: of the days that the model learned."""
        history.fingerprint = self.lessons.fingerprint(date_of(history.last_day))
        model.save(self.workspace.model)
        history.save(self.workspace.history)
        self._model = model

    # --- the past -------------------------------------------------------------------------------------------

    @cached_property
    def lessons(self) -> Lessons:
        """Which edges are excluded from learning."""
        batches_of = partial(walk.batches_of, self.workspace.lake)
        return lessons.of_workspace(self.workspace.findings, self.verdicts, batches_of)

    def history_before(self, day: dt.date) -> History:
        """The history before a day, continued from the stored one."""
        return walk.history_before(
            self.workspace.lake, day, self.config, self.workspace.history, self.lessons
        )

    def past(self, day: dt.date) -> Past:
        """What a scoring of a day knows of the days before it."""
        excess = carryover.before(self.workspace.findings, day, self.verdicts)
        standings = entities.standings(self.workspace.lake)
        return Past(self.history_before(day), excess, self.verdicts, self.rules, standings)

    def has_learned(self, day: dt.date) -> bool:
        """Whether the model and the stored history have learned a day and all before it, as the lake holds
        them now."""
        kept = History.stored_facts(self.workspace.history)
        if kept is None or self.model_facts is None or self.can_score(day):
            return False
        start = walk.window_start(day + dt.timedelta(days=1), self.config)
        root = self.workspace.lake
        stands = [
            batch
            for learned in lake.days(root)
            if start <= learned <= day
            for batch in walk.batches_of(root, learned)
        ]
        return kept.batches == stands

    # --- days -----------------------------------------------------------------------------------------------

    def last_day(self) -> dt.date:
        """The last day with edges. Raises WorkspaceError if there is none."""
        days = lake.days(self.workspace.lake)
        if not days:
            raise WorkspaceError(f"{self.workspace.lake}: no edges yet; `ueba ingest` a log file first")
        return days[-1]

    def today(self) -> dt.date:
        """Today by the clock of the logs: the day after the last scored day. Raises WorkspaceError if no day
        was scored."""
        return findings.last_scored(self.workspace.findings) + dt.timedelta(days=1)
