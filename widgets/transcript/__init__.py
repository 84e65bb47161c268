"""Every command that was sent, with its raw reply."""
