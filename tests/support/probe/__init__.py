"""An app that a test puts into a rendered service: views and a consumer that wait, in each way in which code can."""
