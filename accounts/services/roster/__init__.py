"""The roster: whom the staff expect. Read from what they upload, compared, written, and bound to the people who come."""
