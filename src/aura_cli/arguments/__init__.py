"""Arguments: the parser of the command line and its errors."""
