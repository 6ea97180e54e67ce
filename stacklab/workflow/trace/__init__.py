"""`trace.*`: a request's way through the services of a lab's cloud, as their own logs tell it."""
