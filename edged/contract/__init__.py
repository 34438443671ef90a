"""Pure checks of a task's schemas and examples."""
