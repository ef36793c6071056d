"""The table that every contender reads."""

from django.db import models


class Row(models.Model):
    """A table with one row, which `prepare.py` creates in the database of all contenders."""

    name = models.TextField()

    class Meta:
        """Unmanaged, because a migration would have to be in each project."""

        db_table = "benchmark_row"
        managed = False

    def __str__(self) -> str:
        return self.name
