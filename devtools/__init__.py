"""What tests, benchmarks and load share: they render a service, and run it and what it depends on."""
