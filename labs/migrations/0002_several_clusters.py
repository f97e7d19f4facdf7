"""Several clusters for an instance, in order; what a cluster says of itself; kubeconfigs kept encrypted."""

import django.core.validators
import django.db.models.deletion
import labs.models.cluster
from django.conf import settings
from django.db import migrations, models


def fill_places(apps, schema_editor):
    """Each instance goes on running where it does."""
    Instance, InstanceCluster = (apps.get_model("labs", name) for name in ("Instance", "InstanceCluster"))
    InstanceCluster.objects.bulk_create(
        InstanceCluster(instance_id=pk, cluster_id=cluster, rank=1)
        for pk, cluster in Instance.objects.values_list("pk", "cluster_id")
    )


def fill_cluster(apps, schema_editor):
    """Back to one: the first."""
    Instance, InstanceCluster = (apps.get_model("labs", name) for name in ("Instance", "InstanceCluster"))
    for instance in Instance.objects.all():
        first = InstanceCluster.objects.filter(instance=instance).order_by("rank", "pk").first()
        Instance.objects.filter(pk=instance.pk).update(cluster_id=first and first.cluster_id)


class Migration(migrations.Migration):

    dependencies = [
        ('labs', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='InstanceCluster',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rank', models.PositiveSmallIntegerField(default=1, help_text='The first with room is taken.', verbose_name='order')),
                ('cpu_millis', models.PositiveIntegerField(blank=True, help_text='In thousandths of a core.', null=True, verbose_name='CPU')),
                ('memory_mib', models.PositiveIntegerField(blank=True, help_text='In MiB.', null=True, verbose_name='memory')),
                ('gpus', models.PositiveIntegerField(blank=True, null=True, verbose_name='GPUs')),
                ('running', models.PositiveIntegerField(blank=True, null=True, verbose_name='services at once')),
            ],
            options={
                'verbose_name': 'cluster',
                'ordering': ['rank', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='MachineSnapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('machines', models.JSONField(default=list)),
            ],
        ),
        migrations.AlterModelOptions(
            name='cluster',
            options={'ordering': ['rank', 'title']},
        ),
        migrations.RemoveConstraint(
            model_name='event',
            name='event_verb_known',
        ),
        migrations.AddField(
            model_name='cluster',
            name='cluster_issuer',
            field=models.CharField(blank=True, help_text="Name of cert-manager's ClusterIssuer, for a certificate for each lab in the place of a wildcard.", max_length=200),
        ),
        migrations.AddField(
            model_name='cluster',
            name='gateway',
            field=models.CharField(blank=True, help_text='Namespace/name of a Gateway, in the place of Ingresses. Its listener holds the certificate.', max_length=200, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)?$', 'Namespace and name, such as gateways/labs; a listener after another stroke.')]),
        ),
        migrations.AddField(
            model_name='cluster',
            name='grows',
            field=models.BooleanField(default=False, help_text='The room on it is not counted: what does not fit gets a new machine.', verbose_name='adds machines by itself'),
        ),
        migrations.AddField(
            model_name='cluster',
            name='ingress_controller',
            field=models.CharField(choices=[('other', 'Another one'), ('ingress-nginx', 'ingress-nginx'), ('traefik', 'Traefik'), ('haproxy', 'HAProxy Kubernetes Ingress'), ('haproxy-community', 'HAProxy Ingress (community)'), ('contour', 'Contour')], default='other', help_text='Sets what web sockets, long requests and uploads need.', max_length=20),
        ),
        migrations.AddField(
            model_name='cluster',
            name='kubeconfig_sealed',
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name='cluster',
            name='rank',
            field=models.PositiveSmallIntegerField(default=10, help_text='Lists show small numbers first. In which order an instance uses its clusters, it says itself.'),
        ),
        migrations.AddField(
            model_name='cluster',
            name='storage_classes',
            field=models.JSONField(blank=True, default=list, help_text='Names of those that are offered.', validators=[labs.models.cluster.check_names]),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='connection',
            field=models.CharField(choices=[('in-cluster', 'The cluster the site runs on'), ('file', "A kubeconfig file on the site's machine"), ('stored', 'A kubeconfig kept here, encrypted')], default='in-cluster', max_length=16),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='gpu_models',
            field=models.JSONField(blank=True, default=list, help_text='A list such as [{"name": "a100", "title": "A100 80 GB", "memory_gib": 80, "count": 8, "node_labels": {"nvidia.com/gpu.product": "A100"}}].', validators=[labs.models.cluster.check_gpu_models]),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='ingress_annotations',
            field=models.JSONField(blank=True, default=dict, help_text='More of them, or others.'),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='ingress_class',
            field=models.CharField(blank=True, help_text="Empty: the cluster's default class.", max_length=100),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='ingress_namespace',
            field=models.CharField(blank=True, default='ingress-nginx', help_text='Where the pods of the ingress or gateway run.', max_length=63),
        ),
        migrations.AlterField(
            model_name='cluster',
            name='tls_secret',
            field=models.CharField(blank=True, help_text="Name of the wildcard certificate's Secret, which something else copies to each instance's namespace; empty: the controller's default certificate.", max_length=200),
        ),
        migrations.AlterField(
            model_name='event',
            name='verb',
            field=models.CharField(choices=[('access-requested', 'asked for access'), ('access-approved', 'approved'), ('access-denied', 'did not approve'), ('access-suspended', 'suspended'), ('role-changed', 'changed the role'), ('limits-changed', 'changed the limits'), ('instance-changed', 'changed the instance'), ('instance-archived', 'archived the instance'), ('cluster-changed', 'changed the cluster'), ('launched', 'launched'), ('queued', 'waits for room'), ('starting', 'is starting'), ('running', 'is running'), ('extended', 'extended'), ('stopping', 'is stopping'), ('ended', 'ended'), ('secret-shown', 'looked at the token')], max_length=24),
        ),
        migrations.AddConstraint(
            model_name='cluster',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('connection', 'stored'), _negated=True), models.Q(('kubeconfig_sealed', ''), _negated=True), _connector='OR'), name='cluster_stored_has_content'),
        ),
        migrations.AddConstraint(
            model_name='cluster',
            constraint=models.CheckConstraint(condition=models.Q(('cluster_issuer', ''), models.Q(('tls_secret', ''), ('gateway', '')), _connector='OR'), name='cluster_one_certificate'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(('verb__in', ['access-requested', 'access-approved', 'access-denied', 'access-suspended', 'role-changed', 'limits-changed', 'instance-changed', 'instance-archived', 'cluster-changed', 'launched', 'queued', 'starting', 'running', 'extended', 'stopping', 'ended', 'secret-shown'])), name='event_verb_known'),
        ),
        migrations.AddField(
            model_name='instancecluster',
            name='cluster',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='places', to='labs.cluster'),
        ),
        migrations.AddField(
            model_name='instancecluster',
            name='instance',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='places', to='labs.instance'),
        ),
        migrations.AddField(
            model_name='instance',
            name='clusters',
            field=models.ManyToManyField(related_name='instances', through='labs.InstanceCluster', to='labs.cluster'),
        ),
        migrations.AddField(
            model_name='machinesnapshot',
            name='cluster',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='snapshot', to='labs.cluster'),
        ),
        migrations.AddConstraint(
            model_name='instancecluster',
            constraint=models.UniqueConstraint(fields=('instance', 'cluster'), name='instance_cluster_once'),
        ),
        # Backwards the field comes empty, and is filled before it may not be.
        migrations.AlterField(
            model_name='instance',
            name='cluster',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labs.cluster'),
        ),
        migrations.RunPython(fill_places, fill_cluster),
        migrations.RemoveField(
            model_name='instance',
            name='cluster',
        ),
    ]
