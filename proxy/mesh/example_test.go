package mesh_test

import (
	"fmt"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

func Example() {
	table, err := mesh.Compile(mesh.Config{
		Listeners: []mesh.Listener{{
			Name: "outbound", Address: "127.0.0.1:15001", StatPrefix: "outbound",
			VirtualHosts: []mesh.VirtualHost{{
				Name: "reviews", Domains: []string{"reviews:9080"},
				Routes: []mesh.Route{{Prefix: "/", Cluster: "reviews"}},
			}},
		}},
		Clusters: []mesh.Cluster{{Name: "reviews", Endpoints: []mesh.Endpoint{
			{Address: "10.0.0.1:9080", Weight: 2}, {Address: "10.0.0.2:9080", Weight: 1},
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var h http1.Head
	h.Reset(false)
	if _, err := h.Parse([]byte("GET /reviews/0 HTTP/1.1\r\nHost: reviews:9080\r\n\r\n")); err != nil {
		fmt.Println(err)
		return
	}
	route := table.Listeners[0].Route(&h)
	cluster := &table.Clusters[route.Cluster(nil)]
	lb := mesh.NewBalancer(mesh.NewHealth(cluster).View(), 0)
	for range 3 {
		fmt.Println(cluster.Name, lb.Next(0, false).Addr)
	}
	// Output:
	// reviews 10.0.0.1:9080
	// reviews 10.0.0.2:9080
	// reviews 10.0.0.1:9080
}
