"""The execution log: records, writer, follower."""
