"""Commands: one module each, with `configure` to declare the arguments. It imports everything else when it runs."""
