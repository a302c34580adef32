"""Values, keys, names and checks that everything else is built on."""
