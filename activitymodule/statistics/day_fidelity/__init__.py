"""How close synthesised daily records come to those of real people."""
