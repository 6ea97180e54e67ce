"""Options of OpenStack's services, and how they become the text of configuration files."""
