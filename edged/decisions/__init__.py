"""Pure decisions: routing weights, sketches."""
