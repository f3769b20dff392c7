"""``holdtrue dev``: runs a composed app with all it needs on this machine, until Ctrl-C."""
