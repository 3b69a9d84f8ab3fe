"""Demo: what `aura demo` plays, how it is shown, and how it is proved."""
