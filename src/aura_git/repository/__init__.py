"""One repository: where its parts are, its configuration, its refs and objects."""
