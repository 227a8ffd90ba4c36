"""The commands, a module for each kind; heavy imports happen inside of them."""
