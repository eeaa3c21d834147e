"""Daily records: one row a participant, local day and source, and what is derived from them."""
