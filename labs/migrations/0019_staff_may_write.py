from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labs', '0018_launched_once'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='staff_may_write',
            field=models.BooleanField(default=False, help_text='Otherwise only owners send letters to members.', verbose_name='staff write to the class'),
        ),
    ]
