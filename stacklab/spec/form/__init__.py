"""The form of a lab's file: its keys, and the values that each of them takes."""
