"""A lab with every question answered: frozen values, no defaults left to look up."""
