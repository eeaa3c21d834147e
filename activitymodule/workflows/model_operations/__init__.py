"""What an engineer does with model versions beside training and promoting them."""
