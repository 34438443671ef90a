"""The control plane: generates programs, keeps versions, pushes them to edges."""
