"""What keeps the stack running: bring-up order, health, processes. State in, next step out."""
