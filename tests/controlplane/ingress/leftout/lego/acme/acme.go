// Package acme has the account that Traefik keeps.
package acme

// Account is what an authority knows of whoever asks it for certificates.
type Account struct{}

// ExtendedAccount is an account and where it lies.
type ExtendedAccount struct {
	Account

	Location string
}
