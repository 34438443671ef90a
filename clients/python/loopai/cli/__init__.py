"""People's command line for a control plane, and the entries of all commands."""
