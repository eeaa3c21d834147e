"""How close synthetic recordings are to real ones: four kinds of measures and the protocol that applies them."""
