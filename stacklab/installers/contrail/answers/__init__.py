"""Renders both localrc of a Contrail lab, and lists the stages that use them."""
