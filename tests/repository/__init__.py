"""This repository: its sources, documents and workflows."""
