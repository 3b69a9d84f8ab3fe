"""Exception groups: task groups wrap even a single error in them."""


def unwrap_group(error: Exception) -> Exception:
    """Return the one error inside the groups that task groups wrap around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
