"""The table that every contender reads."""

from django.db import models


class Row(models.Model):
    """One row, made by `prepare.py` in a database that all contenders share."""

    name = models.TextField()

    class Meta:
        """Made without a migration, which each project would have to have."""

        db_table = "benchmark_row"
        managed = False

    def __str__(self) -> str:
        return self.name
