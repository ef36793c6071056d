"""The views of the JSON API, one module for each subject."""
