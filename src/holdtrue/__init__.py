"""holdtrue: a specification for the dangerous 30 % of an app, and the check that holds the app to it."""

__version__ = "0.1.0.dev0"
