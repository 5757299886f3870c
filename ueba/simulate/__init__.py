"""A made-up organisation whose logs hold benign change and hidden attacks, which rules cannot tell apart.

organisation   what to simulate                        cast       who and what there is
calendar       which days who works                    habits     who reaches what, how often, at which hours
change         new habits that follow the structure    draw       habits -> events
writers        files: LANL, CSV, labels, people        windows, ocsf   records: Windows Security events, OCSF
formats        which of them by name                   json_lines      columns -> lines

`simulate` calls them in this order. Campaigns are those of `ueba.campaigns`, written from the organisation's
own edges of the days before: only their structure differs from the benign change around them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ueba import campaigns
from ueba.campaigns import EVENT_COLUMNS, Scene, Wanted
from ueba.campaigns.scene import SILENT, Strings
from ueba.contracts.label import LABEL_COLUMNS, NO_CAMPAIGN
from ueba.ingest import batch
from ueba.simulate.calendar import Calendar, make_calendar
from ueba.simulate.cast import Cast, gather, staff_list
from ueba.simulate.change import changing_habits
from ueba.simulate.draw import DAY_S, draw, renamed, written_out
from ueba.simulate.habits import lasting_habits, usual_places
from ueba.simulate.organisation import Organisation

__all__ = ["EVENT_COLUMNS", "LABEL_COLUMNS", "Organisation", "World", "simulate"]


class World(NamedTuple):
    """What happened; events and labels are in order of time, in whole seconds as in most logs."""

    events: pa.Table  # EVENT_COLUMNS, texts as dictionaries
    labels: pa.Table  # LABEL_COLUMNS, of attacks and of benign sweeps
    staff: pa.Table  # user, department, role, manager, kind, left


def simulate(organisation: Organisation) -> World:
    """Everything that happens in an organisation; the same values give the same tables."""
    rng = np.random.default_rng(organisation.seed)
    cast = gather(organisation, rng)
    calendar = make_calendar(organisation, cast, rng)
    usual = usual_places(cast, rng)
    lasting = lasting_habits(organisation, cast, usual, rng)
    changing = changing_habits(organisation, cast, calendar, usual, rng)
    habits = pa.concat_tables([*lasting, *changing])
    benign = as_of(
        organisation,
        cast,
        written_out(organisation, cast, habits, draw(organisation, cast, habits, calendar, rng)),
    )
    staff = staff_list(organisation, cast)
    attacks = invent_attacks(organisation, cast, calendar, benign, staff)
    everything = together(benign, attacks)
    labelled = everything.filter(pc.not_equal(everything["kind"], ""))
    malicious = pc.greater_equal(labelled["campaign"], 0).cast(pa.int64())
    labels = labelled.append_column("malicious", malicious).select(LABEL_COLUMNS)
    return World(everything.select(EVENT_COLUMNS), labels, staff)


def as_of(organisation: Organisation, cast: Cast, drawn: pa.Table) -> pa.Table:
    """Events with times, and with the names that machines have on the day; EVENT_COLUMNS, kind, campaign."""
    second = drawn["second"].to_numpy().astype(np.int64)
    columns = {name: drawn[name].combine_chunks() for name in EVENT_COLUMNS[1:]}
    columns |= {name: renamed(cast, columns[name], second // DAY_S) for name in ("user", "source", "target")}
    columns["logon_type"] = pa.DictionaryArray.from_arrays(
        pc.if_else(pc.equal(columns["logon_type"], ""), None, columns["logon_type"].indices),
        columns["logon_type"].dictionary,
    )
    time = pa.array((second + int(start_of(organisation).timestamp())) * 1_000_000).cast(
        pa.timestamp("us", "UTC")
    )
    labels = {"kind": drawn["label"], "campaign": pa.array(np.full(len(drawn), NO_CAMPAIGN))}
    return pa.table({"time": time, **columns, **labels})


def invent_attacks(
    organisation: Organisation, cast: Cast, calendar: Calendar, benign: pa.Table, staff: pa.Table
) -> pa.Table:
    """Campaigns on the last working days, written from the events before them. People who leave are not
    chosen as victims; accounts of those who left long ago are woken."""
    left = cast.people.left
    leavers = cast.people.user[left < organisation.days]
    lately = cast.people.user[(left < organisation.days) & (left > organisation.first_attack_day * SILENT)]
    scene = scene_without(leavers, organisation, benign, staff)
    with_silent = scene_without(
        np.concatenate([lately, away(organisation, benign)]), organisation, benign, staff
    )
    late = np.arange(organisation.first_attack_day, organisation.days)
    days = [
        organisation.date_of(day)
        for day in (late[calendar.workday[late]] if calendar.workday[late].any() else late).tolist()
    ]
    wanted = Wanted(organisation.campaigns, organisation.strength, organisation.seed)
    attacks = campaigns.invent(scene, days, wanted, with_silent)
    day = (attacks["time"].to_numpy() - np.datetime64(organisation.start)) // np.timedelta64(1, "D")
    for name in ("user", "source", "target"):
        names = renamed(cast, attacks[name].combine_chunks().dictionary_encode(), day.astype(np.int64))
        attacks = attacks.set_column(attacks.column_names.index(name), name, names)
    return attacks


def scene_without(users: Strings, organisation: Organisation, benign: pa.Table, staff: pa.Table) -> Scene:
    """What is usual before the attacks, some accounts left out."""
    begin = attacks_begin(organisation)
    observed = (
        (pc.field("time") >= begin - timedelta(days=campaigns.OBSERVED_DAYS))
        & (pc.field("time") < begin)
        & ~pc.field("user").cast(pa.string()).isin(pa.array(users))
    )
    edges = batch.counted(benign.filter(observed).drop_columns(["kind", "campaign"]), campaigns.as_observed)
    departments = dict(zip(staff["user"].to_pylist(), staff["department"].to_pylist(), strict=True))
    ends = ("user", "source", "target")
    names = {name for end in ends for name in benign[end].unique().cast(pa.string()).to_pylist()}
    return campaigns.observe(edges, departments, names)


def away(organisation: Organisation, benign: pa.Table) -> Strings:
    """Accounts that come back during the attacks after a silence: of people on vacation."""
    begin = attacks_begin(organisation)
    second_half = start_of(organisation) + (begin - start_of(organisation)) * SILENT
    user = benign["user"].cast(pa.string())

    def seen(first: datetime, last: datetime) -> Strings:
        time = benign["time"]
        during = pc.and_(pc.greater_equal(time, first), pc.less(time, last))
        names: Strings = user.filter(during).unique().to_numpy(zero_copy_only=False)
        return names

    return np.setdiff1d(seen(begin, datetime.max.replace(tzinfo=UTC)), seen(second_half, begin))


def attacks_begin(organisation: Organisation) -> datetime:
    return start_of(organisation) + timedelta(days=organisation.first_attack_day)


def together(*tables: pa.Table) -> pa.Table:
    """One table in order of time, its texts as dictionaries."""
    schema = pa.schema([(field.name, text_type(field.type)) for field in tables[0].schema])
    everything = (
        pa.concat_tables([table.cast(schema) for table in tables]).unify_dictionaries().combine_chunks()
    )
    return everything.take(np.argsort(everything["time"].to_numpy(), kind="stable"))


def text_type(type: pa.DataType) -> pa.DataType:
    """A dictionary for a text, other types as they are."""
    is_text = pa.types.is_dictionary(type) or pa.types.is_string(type)
    return pa.dictionary(pa.int32(), pa.string()) if is_text else type


def start_of(organisation: Organisation) -> datetime:
    return datetime.combine(organisation.start, datetime.min.time(), UTC)
