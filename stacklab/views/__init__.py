"""Views for people: tables, the live view, plain lines, pages and drawings."""
