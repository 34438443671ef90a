"""A gRPC client on bare HTTP/2, for the load generator, the scenarios and the raw tests."""
