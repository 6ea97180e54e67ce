# labs/openstack-2node-linuxbridge.yaml: horizon's application, for uWSGI; localrc/debian/horizon.wsgi.j2
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "openstack_dashboard.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
