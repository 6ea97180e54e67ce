"""Views of a check run: what failed first, who reaches whom, and all of it as files."""
