"""Arguments: what can be written on the command line, parsed; and what is said about what cannot."""
