// Package ext stands in for a module that lies inside Traefik's repository and is published nowhere: the fields that
// somebody else's build of Traefik adds to its configuration. This one adds none.
package ext

// HTTP is embedded in the configuration of HTTP.
type HTTP struct{}

// Router is embedded in the configuration of a router.
type Router struct{}
