"""The edge daemon: runs programs in the customer's network. Start with docs/architecture.md."""
