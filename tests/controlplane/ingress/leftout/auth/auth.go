// Package auth stands in for a fork of Traefik's makers that cannot be had everywhere: passwords asked for by the ingress
// controller itself, which no Ingress of ours wants. It lets nobody in.
package auth

import "net/http"

// SecretProvider knows a user's secret.
type SecretProvider func(user, realm string) string

// BasicAuth lets nobody in.
type BasicAuth struct {
	Realm   string
	Secrets SecretProvider
}

// CheckSecret fails.
func CheckSecret(string, string) bool { return false }

// RequireAuth refuses.
func (*BasicAuth) RequireAuth(answer http.ResponseWriter, _ *http.Request) { refuse(answer) }

// DigestAuth lets nobody in.
type DigestAuth struct{}

// NewDigestAuthenticator makes one.
func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

// CheckAuth fails.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth refuses.
func (*DigestAuth) RequireAuth(answer http.ResponseWriter, _ *http.Request) { refuse(answer) }

// RequireAuthStale refuses.
func (*DigestAuth) RequireAuthStale(answer http.ResponseWriter, _ *http.Request) { refuse(answer) }

// DigestAuthParams reads nothing.
func DigestAuthParams(string) map[string]string { return nil }

func refuse(answer http.ResponseWriter) {
	http.Error(answer, "this build of Traefik asks for no passwords", http.StatusForbidden)
}
