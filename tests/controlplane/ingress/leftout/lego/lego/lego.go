// Package lego stands in for the client of certificate authorities that Traefik brings along, with the hundred-odd DNS
// services' own programs that it is built from: several of them cannot be had everywhere, and our labs' certificates come
// in Secrets. It has what Traefik's code names, and a client that cannot be made.
package lego

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the authority of a configuration that names none: here none.
const DirectoryURLLetsEncrypt = ""

// Config is that of a Client.
type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate struct{ Timeout time.Duration }
}

// NewConfig makes one.
func NewConfig(any) *Config { return &Config{} }

// Challenges takes ways of proof.
type Challenges struct{}

// SetDNS01Provider fails.
func (*Challenges) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return certificate.ErrLeftOut
}

// SetHTTP01Provider fails.
func (*Challenges) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return certificate.ErrLeftOut
}

// SetTLSALPN01Provider fails.
func (*Challenges) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return certificate.ErrLeftOut
}

// Client would ask an authority.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *Challenges
	Registration *registration.Registrar
}

// NewClient fails.
func NewClient(*Config) (*Client, error) { return nil, certificate.ErrLeftOut }

// CreateCertPool fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, certificate.ErrLeftOut }
