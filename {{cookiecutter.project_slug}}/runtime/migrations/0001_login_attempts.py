"""The table of the login throttle."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LoginAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user_key", models.CharField(max_length=64)),
                ("address_key", models.CharField(max_length=64)),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user_key", "made_at"], name="login_attempt_user"),
                    models.Index(fields=["address_key", "made_at"], name="login_attempt_address"),
                    models.Index(fields=["made_at"], name="login_attempt_age"),
                ],
            },
        ),
    ]
