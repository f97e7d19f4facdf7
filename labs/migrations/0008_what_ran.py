from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labs", "0007_forbidden_networks")]

    operations = [
        migrations.AddIndex(
            model_name="workload",
            index=models.Index(fields=["instance", "ended_at"], name="workload_of_instance_ended"),
        ),
    ]
