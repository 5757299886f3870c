"""Why an incident was reported, as facts that a person can check.

    scoring          the model as it stands before a day, for edges of that day that never happened
    weigh            what each part of the evidence adds: exact Shapley values
    counterfactuals  one part of an edge changed: what would have been normal
    habits           how often an account does new things, and what it does on most days
    day              explanations of a day's strangest edges, when the day is scored
    kept             explanations on disk
    incident         an incident with its edges, explanations and events
    words            sentences

Explanations need the model and the history that scored the day, so they are made with the scores and kept.
The events of an edge are read from the lake when they are shown. Leaves out causes: an explanation says what
the model saw.
"""
