import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


def take_hosts(apps, schema_editor):
    """Hosts that labs have had are their owner's; one that has passed from person to person is nobody's."""
    Workload, Host = apps.get_model("labs", "Workload"), apps.get_model("labs", "Host")
    found = {}
    rows = Workload.objects.order_by("created_at").values_list("name", "cluster__lab_domain", "owner", "created_at")
    for name, domain, owner, created_at in rows.iterator(chunk_size=2000):
        host = found.setdefault(f"{name}.{domain}", Host(name=f"{name}.{domain}", owner_id=owner, created_at=created_at))
        if host.owner_id != owner:
            host.owner_id = None
    Host.objects.bulk_create(found.values(), batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('labs', '0014_public_addresses_of_machines'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Host',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=253, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='hosts', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RunPython(take_hosts, migrations.RunPython.noop),
    ]
