"""Why a number is missing or wrong: evidence from every part, checks over it, words for people."""
