"""What is asked, one file for each part that answers; nothing here changes what it looks at."""
