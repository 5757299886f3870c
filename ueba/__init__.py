"""Entity behaviour analytics: logon events in, a handful of ranked and explained incidents a day out."""

__version__ = "0.1.0"
