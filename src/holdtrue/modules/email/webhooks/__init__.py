"""What providers tell of mails: one shape of our own, and one file for each provider's."""
