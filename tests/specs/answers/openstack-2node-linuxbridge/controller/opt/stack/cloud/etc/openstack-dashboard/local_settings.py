# labs/openstack-2node-linuxbridge.yaml: horizon's settings; localrc/debian/horizon.py.j2
# Debian's own, in local_settings.d, come after these. One of them keeps sessions in the process's
# memory: there is one process, and nobody else on the network can write into them.
DEBUG = False
ALLOWED_HOSTS = ["192.168.172.10", "controller"]
SECRET_KEY = "9c7864a66951838b3858"
OPENSTACK_KEYSTONE_URL = "https://192.168.172.10:5000/v3"
OPENSTACK_SSL_CACERT = "/etc/stacklab/authority.pem"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_SECURE = True
# Everything to the journal.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
