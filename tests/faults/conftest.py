"""What the tests of faults share, beside what all tests do."""
