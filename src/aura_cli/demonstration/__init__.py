"""Demo: the story of `aura demo`, its presentation and its proof."""
