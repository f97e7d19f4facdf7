"""What the services of both apps need of labs: a line of the history, a task of the queue."""
