"""What analysts decide, and what that changes.

log      the verdict log: read, add, which verdicts are in force
effects  the nats that verdicts add to edges or take off
rules    conditions under which edges are hidden
hiding   rules applied to scored days, and tried on them
desk     entering verdicts, putting rules in force
"""
