"""A cluster names its kubeconfig file as the operator does in KUBECONFIG_FILES; its path stands there alone."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.db import migrations, models


def name_files(apps: Any, schema_editor: Any) -> None:
    """What no file of KUBECONFIG_FILES stands for is left as it is: the cluster's page then says what the operator has to do."""
    names = {os.path.normpath(file.path): name for name, file in settings.KUBECONFIG_FILES.items()}
    clusters = apps.get_model("labs", "Cluster").objects.exclude(kubeconfig_file="")
    for pk, path in clusters.values_list("pk", "kubeconfig_file"):
        if name := names.get(os.path.normpath(path)):
            clusters.filter(pk=pk).update(kubeconfig_file=name)


class Migration(migrations.Migration):
    dependencies = [("labs", "0012_who_reaches_labs")]

    operations = [
        migrations.AlterField(
            model_name="cluster",
            name="kubeconfig_file",
            field=models.CharField(
                blank=True,
                help_text="For the second kind of connection: its name in KUBECONFIG_FILES, where the site's operator lists such files.",
                max_length=500,
            ),
        ),
        migrations.AlterField(
            model_name="cluster",
            name="connection",
            field=models.CharField(
                choices=[
                    ("in-cluster", "The cluster the site runs on"),
                    ("file", "A kubeconfig file that the operator has named"),
                    ("stored", "A kubeconfig kept here, encrypted"),
                ],
                default="in-cluster",
                max_length=16,
            ),
        ),
        migrations.RunPython(name_files, migrations.RunPython.noop),
    ]
