package bookinfo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// DefaultListen is the address the originals' images listen on.
const DefaultListen = ":9080"

// Options says which service to run and how. Everything the originals read
// from their environment is read through Getenv.
type Options struct {
	// Service is one of Services, or one with the version of its image, as in
	// "reviews-v3".
	Service string
	// Version is the image's version, "" for v1: it stands for the environment
	// that Istio's image of that version carries (Versions lists them).
	// A variable that is set and not empty overrides it.
	Version string
	Listen  string              // address:port, "" for DefaultListen
	Work    Work                // CPU burnt a request; the zero value is Native
	Getenv  func(string) string // nil means os.Getenv
	Log     io.Writer           // one line a start, a stop and a failed call; nil for none
	// CallTimeout is how long a call of another service may take to connect, and for each
	// read. 0 means as long as with the originals: productpage 3 s, reviews 10 s with black
	// stars and 2.5 s with others.
	CallTimeout time.Duration
}

// Services returns the names of the four services.
func Services() []string { return []string{"productpage", "details", "ratings", "reviews"} }

// Versions returns the versions of a service's image, the first being the
// default, and nil for an unknown service.
func Versions(service string) []string {
	var names []string
	for _, i := range images(service) {
		names = append(names, i.version)
	}
	return names
}

// image is one of Istio's images: a service and the variables built into it.
type image struct {
	version string
	env     map[string]string
}

// images lists what samples/bookinfo/src/docker-bake.hcl builds.
func images(service string) []image {
	switch service {
	case "productpage":
		return []image{{"v1", nil}, {"v-flooding", map[string]string{"FLOOD_FACTOR": "100"}}}
	case "details":
		return []image{{"v1", nil}, {"v2", map[string]string{"ENABLE_EXTERNAL_BOOK_SERVICE": "true"}}}
	case "reviews":
		return []image{
			{"v1", nil},
			{"v2", map[string]string{"ENABLE_RATINGS": "true"}},
			{"v3", map[string]string{"ENABLE_RATINGS": "true", "STAR_COLOR": "red"}},
		}
	case "ratings":
		var list []image
		for _, v := range []string{"v1", "v2", "v-faulty", "v-delayed", "v-unavailable", "v-unhealthy"} {
			list = append(list, image{v, map[string]string{"SERVICE_VERSION": v}})
		}
		return list
	}
	return nil
}

// Server is one running or runnable service.
type Server struct {
	name   string // "reviews-v3"
	listen string
	work   Work
	log    *log.Logger
	httpd  *httpd
}

// service answers one request. It may block; ctx ends when the server gives up
// waiting for requests under way.
type service interface {
	handle(ctx context.Context, r *http.Request) response
}

// caller is a service that calls others.
type caller interface {
	waits(d time.Duration)
}

// New returns the service that o names. It fails with failure.Usage when the
// service, its version, the address or a variable makes no sense, and with
// failure.Unsupported when CPU time cannot be burnt on this system.
func New(o Options) (*Server, error) {
	name, img, err := o.image()
	if err != nil {
		return nil, err
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if _, port, err := net.SplitHostPort(o.Listen); err != nil || !validPort(port, 0) {
		return nil, failure.New(failure.Usage, fmt.Sprintf("bookinfo: listen on %q", o.Listen),
			"not an address:port", "write it like 127.0.0.1:9080, [::1]:9080 or :9080")
	}
	if err := o.Work.check(); err != nil {
		return nil, err
	}
	if o.CallTimeout < 0 {
		return nil, failure.New(failure.Usage, fmt.Sprintf("bookinfo: call timeout of %v", o.CallTimeout),
			"less than 0", "write it like 30s, or leave it out for the originals'")
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	s := &Server{
		name: name + "-" + img.version, listen: o.Listen, work: o.Work,
		log: log.New(o.Log, "bookinfo "+name+": ", 0),
	}
	svc, style, err := build(name, env{o.Getenv, img.env}, o.Work.burn, s.log)
	if err != nil {
		return nil, err
	}
	if c, ok := svc.(caller); ok && o.CallTimeout > 0 {
		c.waits(o.CallTimeout)
	}
	s.httpd = newHTTPD(style, svc)
	return s, nil
}

func (o Options) image() (string, image, error) {
	name, version := o.Service, o.Version
	if n, v, ok := strings.Cut(o.Service, "-"); ok && version == "" {
		name, version = n, v
	}
	if !slices.Contains(Services(), name) {
		return "", image{}, failure.New(failure.Usage, fmt.Sprintf("bookinfo: unknown service %q", o.Service), "",
			"name one of "+strings.Join(Services(), ", "))
	}
	list := images(name)
	if version == "" {
		return name, list[0], nil
	}
	for _, i := range list {
		if i.version == version {
			return name, i, nil
		}
	}
	return "", image{}, failure.New(failure.Usage, fmt.Sprintf("bookinfo: unknown version %q of %s", version, name), "",
		"name one of "+strings.Join(Versions(name), ", "))
}

func build(name string, e env, burn func(time.Duration), l *log.Logger) (service, style, error) {
	switch name {
	case "productpage":
		s, err := newProductpage(e, burn, l)
		return s, gunicorn(), err
	case "details":
		return newDetails(e, burn, l), webrick(), nil
	case "ratings":
		return newRatings(e, burn, l), node(), nil
	default:
		s, err := newReviews(e, burn, l)
		return s, liberty(), err
	}
}

// Run listens and serves until ctx ends, then lets the requests under way
// finish for up to ten seconds. An address in use is a failure.Conflict that
// names its owner where it can be found.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &failure.Error{
			Kind: failure.Conflict, What: "bookinfo: listen on " + s.listen,
			Why: "in use" + portOwner(s.listen), Next: "stop it, or choose another --listen address:port",
		}
	case errors.Is(err, syscall.EACCES):
		return failure.Wrap(failure.Privilege, err, "bookinfo: listen on "+s.listen,
			"choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE")
	case err != nil:
		return failure.Wrap(failure.Usage, err, "bookinfo: listen on "+s.listen,
			"choose an address of this host (ip address show)")
	}
	return s.Serve(ctx, ln)
}

// Serve is Run on a listener that exists already. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.log.Printf("%s listens on %s, work %s", s.name, ln.Addr(), s.work)
	err := s.httpd.serve(ctx, ln)
	s.log.Printf("%s stopped", s.name)
	return err
}

// env is the environment of a service over the variables of its image.
type env struct {
	getenv func(string) string
	image  map[string]string
}

// get returns a variable, its value in the image, or def. The originals tell
// a variable that is empty from one that is not set; this does not.
func (e env) get(name, def string) string {
	if v := e.getenv(name); v != "" {
		return v
	}
	if v := e.image[name]; v != "" {
		return v
	}
	return def
}

// upstream returns the address of another service, as the originals build it:
// HOSTNAME[.SERVICES_DOMAIN]:SERVICE_PORT.
func (e env) upstream(service string) (authority, error) {
	upper := strings.ToUpper(service)
	a := authority{host: e.get(upper+"_HOSTNAME", service), port: e.get(upper+"_SERVICE_PORT", "9080")}
	if d := e.get("SERVICES_DOMAIN", ""); d != "" {
		a.host += "." + d
	}
	if !validPort(a.port, 1) {
		return a, failure.New(failure.Usage, fmt.Sprintf("bookinfo: %s_SERVICE_PORT is %q", upper, a.port),
			"not a port", "set it to a number from 1 to 65535, or unset it for 9080")
	}
	if strings.ContainsAny(a.host, " \t\r\n/?#@") {
		return a, failure.New(failure.Usage, fmt.Sprintf("bookinfo: %s_HOSTNAME and SERVICES_DOMAIN give %q", upper, a.host),
			"not a host name", "set them to a name or an address")
	}
	return a, nil
}

func validPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}
