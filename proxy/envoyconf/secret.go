package envoyconf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	yaml "go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func secretConfig(s mesh.Secret) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: s.Name, SdsConfig: &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: s.Path}}}}
}

func certificate(c *mesh.Certificate) *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: dataSource(&c.Chain), PrivateKey: dataSource(&c.Key)}
}

// SecretFile returns a file of one secret (YAML): what Envoy reads where a
// certificate is a mesh.Secret. It is for a file that is written anew beside the
// one in use and takes its place by a rename, so that nobody reads half of it.
func SecretFile(name string, c mesh.Certificate) ([]byte, error) {
	var m map[string]any
	a, err := anypb.New(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate(&c)}})
	if err == nil {
		var j []byte
		if j, err = (protojson.MarshalOptions{UseProtoNames: true}).Marshal(a); err == nil {
			err = json.Unmarshal(j, &m)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("envoyconf: secret %s: %w", name, err)
	}
	s, err := structpb.NewStruct(map[string]any{"resources": []any{m}})
	if err != nil {
		return nil, fmt.Errorf("envoyconf: secret %s: %w", name, err)
	}
	return toYAML(s)
}

// ReadSecret returns the certificate that a file of secrets has under a name. The
// file is a DiscoveryResponse, whose Go type would bring gRPC with it. The error is
// a failure.BadFile; path is the file's name in it.
func ReadSecret(file []byte, path, name string) (mesh.Certificate, error) {
	n, problems := parse(file)
	if problems != nil {
		return mesh.Certificate{}, bad(path, problems)
	}
	c := &checker{over: map[*yaml.Node]bool{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := wrap(n.Content[i]); !slices.Contains([]string{"resources", "version_info", "versionInfo"}, k.Value) {
			c.fail(k, k.Value, "is not supported; carried of DiscoveryResponse: resources, version_info")
		}
	}
	list := n.find("resources")
	if list.Kind != yaml.SequenceNode {
		c.fail(list, "resources", "want a list of secrets")
	}
	var found *mesh.Certificate
	for i := 0; i < len(list.Content) && list.Kind == yaml.SequenceNode; i++ {
		at, r := fmt.Sprintf("resources[%d]", i), wrap(list.Content[i])
		if c.any(r, at); len(c.problems) > 0 {
			break
		}
		var a anypb.Any
		var s tlsv3.Secret
		j, err := r.json(strings.HasSuffix(path, ".json"), c.over)
		if err == nil {
			err = protojson.Unmarshal(j, &a)
		}
		if err == nil {
			err = a.UnmarshalTo(&s)
		}
		if err != nil {
			c.fail(r, at, "is no secret: %v", err)
		}
		if t := s.GetTlsCertificate(); s.GetName() == name && t != nil {
			found = &mesh.Certificate{Chain: source(t.GetCertificateChain()), Key: source(t.GetPrivateKey())}
		}
	}
	if found == nil && len(c.problems) == 0 {
		c.fail(n, "resources", "has no tls_certificate of name %q", name)
	}
	if len(c.problems) > 0 {
		return mesh.Certificate{}, bad(path, c.problems)
	}
	return *found, nil
}
