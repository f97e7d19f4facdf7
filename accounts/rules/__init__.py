"""What the services of both apps need of people: who may do what, how often, who somebody is, and mails to be sent."""
