"""What goes out: a repository on the Hub with its card, the zoo as pages."""
