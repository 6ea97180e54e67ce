"""Drawings: SVG, Mermaid and Graphviz."""
