"""Ports of the cloud's services, all on the management address."""

from __future__ import annotations

DATABASE = 3306
MESSAGES = 5672
MEMCACHED = 11211
KEYSTONE = 5000
GLANCE = 9292
PLACEMENT = 8778
NOVA = 8774
METADATA = 8775
NOVNCPROXY = 6080
NEUTRON = 9696
CINDER = 8776
DASHBOARD = 80
DASHBOARD_TLS = 443
ISCSI = 3260
NORTHBOUND = 6641
SOUTHBOUND = 6642
OVSDB = 6640  # of each compute, on its loopback
