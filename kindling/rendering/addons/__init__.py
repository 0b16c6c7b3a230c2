"""From the stack's settings of an add-on to a patch of upstream's manifest, one module each."""
