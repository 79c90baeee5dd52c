"""What a student is trained to do, a module for each objective."""
