package sidecar

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/meshnic/meshnic/proxy/admin"
)

// certs answers as Envoy's /certs does: the CA and the chains of every TLS context.
func (s *Server) certs(w http.ResponseWriter) {
	type name struct {
		DNS string `json:"dns,omitempty"`
		URI string `json:"uri,omitempty"`
		IP  string `json:"ip_address,omitempty"`
	}
	type certificate struct {
		Path   string `json:"path"`
		Serial string `json:"serial_number"`
		Names  []name `json:"subject_alt_names"`
		Days   string `json:"days_until_expiration"`
		From   string `json:"valid_from"`
		Until  string `json:"expiration_time"`
	}
	type entry struct {
		CA    []certificate `json:"ca_cert"`
		Chain []certificate `json:"cert_chain"`
	}
	out := struct {
		All []entry `json:"certificates"`
	}{All: []entry{}}
	show := func(path string, c *x509.Certificate) certificate {
		s := certificate{
			Path: path, Serial: hexSerial(c), Names: []name{},
			Days: fmt.Sprint(max(0, int(time.Until(c.NotAfter).Hours()/24))),
			From: c.NotBefore.UTC().Format(time.RFC3339), Until: c.NotAfter.UTC().Format(time.RFC3339),
		}
		for _, d := range c.DNSNames {
			s.Names = append(s.Names, name{DNS: d})
		}
		for _, u := range c.URIs {
			s.Names = append(s.Names, name{URI: u.String()})
		}
		for _, ip := range c.IPAddresses {
			s.Names = append(s.Names, name{IP: ip.String()})
		}
		return s
	}
	c := s.force.Load()
	for _, contexts := range [][]*tlsContext{c.up, c.down} {
		for _, t := range contexts {
			if t == nil {
				continue
			}
			e := entry{CA: []certificate{}, Chain: []certificate{}}
			for _, s := range t.shown {
				if s.ca && len(s.certs) > 0 { // Envoy shows the first
					e.CA = append(e.CA, show(s.path, s.certs[0]))
				} else if len(s.certs) > 0 {
					e.Chain = append(e.Chain, show(s.path, s.certs[0]))
				}
			}
			out.All = append(out.All, e)
		}
	}
	admin.WriteJSON(w, out)
}

// hexSerial is c's serial number in whole bytes.
func hexSerial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber.Bytes()) }
