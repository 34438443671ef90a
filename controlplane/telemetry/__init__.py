"""What edges report, counted once."""
