"""The public addresses of a cluster's machines, by which labs must not reach them."""

from django.db import migrations, models

from labs.models.cluster import check_networks


class Migration(migrations.Migration):
    dependencies = [("labs", "0013_kubeconfig_files_by_name")]

    operations = [
        migrations.AddField(
            model_name="machinesnapshot",
            name="networks",
            field=models.JSONField(default=list),
        ),
        migrations.AlterField(
            model_name="cluster",
            name="forbidden_networks",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text=(
                    "Public networks that labs do not reach. Private networks, the cluster's machines and its API server are left "
                    "out anyway."
                ),
                validators=[check_networks],
            ),
        ),
    ]
