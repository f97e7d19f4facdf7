"""Sign-in with any OpenID Connect provider: allauth's, and what it leaves to its users to check."""
