"""`lab.fault`: break a lab on purpose, and put it right."""
