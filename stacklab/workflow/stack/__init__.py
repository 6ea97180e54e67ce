"""`lab.stack`: run the stages of a lab's installer on its nodes."""
