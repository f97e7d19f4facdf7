// Package http01 has the path of proofs by HTTP, and their option.
package http01

import "time"

// PathPrefix is below what proofs are looked for (RFC 8555, 8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// ChallengeOption changes nothing.
type ChallengeOption func()

// SetDelay is an option.
func SetDelay(time.Duration) ChallengeOption { return nil }
