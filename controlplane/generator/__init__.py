"""Strategies that propose programs, and the evaluator that scores them."""
