"""Answers to TAB, in bash, zsh and fish."""
