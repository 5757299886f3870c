"""Why an incident was reported, as facts that a person can check.

    scoring          the model as it stands before a day, for edges of that day that never happened
    weigh            what each part of the evidence adds: exact Shapley values
    counterfactuals  one part of an edge changed: what would have been normal
    habits           how often an account does new things, and what it does on most days
    day              all of that for a day's strangest edges, when the day is scored
    kept             explanations on disk
    incident         an incident with its edges, explanations and events
    words            sentences

All of it needs the model and the past that scored the day, so it is worked out then and kept. The events of an edge
are looked up in the lake when they are shown. Leaves out causes: it says what the model saw.
"""
