"""The checks, one module a component. A check states one promise in plain words and returns its evidence."""
