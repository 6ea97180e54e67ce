# labs/openstack-2node-linuxbridge.yaml: keystone's application, for uWSGI; localrc/debian/keystone.wsgi.j2
"""It imports SAML when somebody asks for it: that is half of what keystone imports."""

import importlib.util
import sys


def import_later(name):
    """Put a module in its place that is imported when one of its attributes is used."""
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


import_later("keystone.federation.idp")

from keystone.server.wsgi import initialize_public_application

application = initialize_public_application()
