"""The worker: mail outbox and refund outbox, each in a loop of its own: a slow one does not hold up the other."""
