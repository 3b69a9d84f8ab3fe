"""Commands: a module each. It offers `configure`, which declares the arguments, and imports the rest when it runs."""
