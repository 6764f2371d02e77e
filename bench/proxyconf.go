package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// relay describes a proxy that sends everything it gets on listen to upstream:
// what each proxy of the hop experiment does.
func relay(node, listen, upstream string) mesh.Config {
	return mesh.Config{
		Node:      node,
		Listeners: []mesh.Listener{relayAt(node, listen, "upstream")},
		Clusters:  []mesh.Cluster{cluster("upstream", upstream)},
	}
}

func relayAt(name, listen, cluster string) mesh.Listener {
	return mesh.Listener{Name: name, Address: listen, StatPrefix: name,
		VirtualHosts: []mesh.VirtualHost{toCluster("any", []string{"*"}, cluster)}}
}

func toCluster(name string, domains []string, cluster string) mesh.VirtualHost {
	return mesh.VirtualHost{Name: name, Domains: domains, Routes: []mesh.Route{{Prefix: "/", Cluster: cluster}}}
}

func cluster(name string, endpoints ...string) mesh.Cluster {
	c := mesh.Cluster{Name: name, ConnectTimeout: 5 * time.Second}
	for _, e := range endpoints {
		c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: e})
	}
	return c
}

// haproxyConf is relay for haproxy: one thread, keep-alive on both sides, the
// headers Envoy adds; with log a line a request on its stdout.
func haproxyConf(listen, upstream string, log bool) string {
	global, each := "", ""
	if log {
		global, each = "    log stdout format raw local0\n", "    log global\n    option httplog\n"
	}
	return fmt.Sprintf(`global
    nbthread 1
    maxconn 4096
%sdefaults
    mode http
%s    timeout connect 5s
    timeout client 1h
    timeout server 1h
    option http-keep-alive
    http-reuse always
    unique-id-format %%[uuid()]
frontend in
    bind %s
    http-request set-header x-forwarded-proto http
    http-request set-header x-request-id %%[unique-id]
    default_backend upstream
backend upstream
    server one %s
`, global, each, listen, upstream)
}

// haproxyTCPConf is a haproxy that copies bytes.
func haproxyTCPConf(listen, upstream string) string {
	return fmt.Sprintf(`global
    nbthread 1
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relay
    bind %s
    server one %s
`, listen, upstream)
}

// nginxConf is relay for nginx: one worker and no master beside it, keep-alive on both sides, the
// headers Envoy adds. dir is where it may write, log where its lines go, if any.
func nginxConf(dir, log, listen, upstream string) string {
	if log == "" {
		log = "off"
	}
	return strings.NewReplacer("DIR", dir, "LOG", log, "LISTEN", listen, "UPSTREAM", upstream).Replace(`daemon off;
master_process off;
user root;
pid DIR/nginx.pid;
error_log DIR/nginx.err error;
events { worker_connections 4096; }
http {
    access_log LOG;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    proxy_max_temp_file_size 0;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    upstream one {
        server UPSTREAM;
        keepalive 128;
        keepalive_requests 1000000000;
    }
    server {
        listen LISTEN;
        location / {
            proxy_pass http://one;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto http;
            proxy_set_header X-Request-Id $request_id;
        }
    }
}
`)
}
