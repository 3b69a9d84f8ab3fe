"""Engine: what decides. Pure decisions first; the runtime stands on them."""
