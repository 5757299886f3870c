"""A scored day as one page of HTML that needs no network and no script: what to look at first, and how far
to believe it.

    page         gathers the facts and draws them with report.html
    days         the day in numbers, among the scored days before it
    incidents    each incident with its edges, picture and next commands
    cases        incidents that go on from one another
    trust        calibration, ingest and model

Leaves out whatever would need the day to be scored again, as `ueba calibration` does, and single events.
"""
