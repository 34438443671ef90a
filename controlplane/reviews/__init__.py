"""What is known to be right: oracles' and people's labels of executions."""
