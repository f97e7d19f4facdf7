// Package challenge has the interface of what proves that a domain is ours.
package challenge

import "context"

// Provider shows a proof, and takes it away.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}
