// Package tlsalpn01 has the protocol of proofs by TLS, which Traefik's table of certificates knows, and their option.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/certificate"
)

// ACMETLS1Protocol is the protocol's name in a handshake (RFC 8737, 6.2).
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption changes nothing.
type ChallengeOption func()

// SetDelay is an option.
func SetDelay(time.Duration) ChallengeOption { return nil }

// ChallengeBlocks fails.
func ChallengeBlocks(string, string) ([]byte, []byte, error) {
	return nil, nil, certificate.ErrLeftOut
}
