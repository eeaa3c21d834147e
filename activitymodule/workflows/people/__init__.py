"""People: adding and changing participants, withdrawal, erasure and export."""
