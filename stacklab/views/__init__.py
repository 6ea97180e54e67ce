"""What people see: tables, the live view, the plain lines."""
