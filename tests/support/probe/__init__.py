"""An app that tests add to a rendered service: views and a consumer that wait on the event loop or in a thread."""
