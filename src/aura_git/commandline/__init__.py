"""Running the git command line: which git, in what environment, and what its output means."""
