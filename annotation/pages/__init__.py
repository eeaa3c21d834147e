"""The pages; importing one adds it to the console."""
