"""What the scripts share: walks through the real product, load, and the wire's code generation."""
