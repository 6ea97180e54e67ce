"""`dev.*`: a project's source of the user's own, in place of the code of a cloud's packages."""
