// Package dns01 has the options of proofs by DNS, and one function that Traefik uses for every certificate.
package dns01

import (
	"strings"
	"time"
)

// UnFqdn takes the dot off the end of a name.
func UnFqdn(name string) string {
	return strings.TrimSuffix(name, ".")
}

// Options are those of a Client.
type Options struct {
	RecursiveNameservers []string
}

// Client does nothing.
type Client struct{}

// NewClient makes one.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// ChallengeOption changes nothing.
type ChallengeOption func()

// CondOptions is an option.
func CondOptions(bool, ...ChallengeOption) ChallengeOption { return nil }

// DisableAuthoritativeNssPropagationRequirement is an option.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return nil }

// DisableRecursiveNSsPropagationRequirement is an option.
func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return nil }

// PropagationWait is an option.
func PropagationWait(time.Duration, bool) ChallengeOption { return nil }
