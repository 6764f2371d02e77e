package k8s

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

const manifests = "../../examples/kubernetes"

// decode reads every document of every manifest, and refuses fields that Kubernetes'
// types do not have.
func decode(t *testing.T) (all map[string][]metav1.Object) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(manifests, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all = map[string][]metav1.Object{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for i, doc := range bytes.Split(b, []byte("\n---\n")) {
			var what metav1.TypeMeta
			require.NoError(t, yaml.Unmarshal(doc, &what), "%s, document %d", f, i)
			if what == (metav1.TypeMeta{}) {
				continue // the comment at the beginning
			}
			var o metav1.Object
			switch what.APIVersion + " " + what.Kind {
			case "v1 Namespace":
				o = new(corev1.Namespace)
			case "v1 Service":
				o = new(corev1.Service)
			case "v1 ConfigMap":
				o = new(corev1.ConfigMap)
			case "apps/v1 Deployment":
				o = new(appsv1.Deployment)
			case "apps/v1 DaemonSet":
				o = new(appsv1.DaemonSet)
			case "batch/v1 Job":
				o = new(batchv1.Job)
			default:
				t.Fatalf("%s, document %d: what is a %+v?", f, i, what)
			}
			require.NoError(t, yaml.UnmarshalStrict(doc, o), "%s, document %d", f, i)
			require.Empty(t, validation.IsDNS1123Label(o.GetName()), f)
			all[filepath.Base(f)] = append(all[filepath.Base(f)], o)
		}
	}
	return all
}

// workload is the pods that an object makes, and what it takes for its own.
func workload(o metav1.Object) (pod *corev1.PodTemplateSpec, own *metav1.LabelSelector) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template, o.Spec.Selector
	case *appsv1.DaemonSet:
		return &o.Spec.Template, o.Spec.Selector
	case *batchv1.Job:
		return &o.Spec.Template, nil
	}
	return nil, nil
}

// What a manifest says of another part of itself is true: selectors choose the pods,
// mounts have volumes, arguments are those of a verb.
func TestManifests(t *testing.T) {
	all := decode(t)
	for _, f := range []string{"bookinfo.yaml", "nic.yaml", "bench.yaml"} {
		require.Contains(t, all, f)
	}
	seen := map[string]bool{}
	for f, objects := range all {
		var pods []labels.Set
		for _, o := range objects {
			key := fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())
			require.False(t, seen[key], "%s twice", key)
			seen[key] = true
			pod, own := workload(o)
			if pod == nil {
				continue
			}
			pods = append(pods, pod.Labels)
			if own != nil {
				s, err := metav1.LabelSelectorAsSelector(own)
				require.NoError(t, err)
				require.True(t, s.Matches(labels.Set(pod.Labels)), key)
			}
			volumes := map[string]bool{}
			for _, v := range pod.Spec.Volumes {
				volumes[v.Name] = true
			}
			require.Len(t, pod.Spec.Containers, 1, key)
			c := pod.Spec.Containers[0]
			require.Equal(t, "meshnic", c.Image, key)
			require.Contains(t, []string{"bookinfo", "attach", "bench"}, c.Args[0], key)
			for _, m := range c.VolumeMounts {
				require.True(t, volumes[m.Name], "%s: %s", key, m.Name)
			}
		}
		for _, o := range objects {
			if s, ok := o.(*corev1.Service); ok {
				n := 0
				for _, p := range pods {
					if labels.SelectorFromSet(s.Spec.Selector).Matches(p) {
						n++
					}
				}
				require.NotZero(t, n, "%s: service %s is nobody's", f, s.Name)
			}
		}
	}
}

// The DaemonSet is allowed what its NIC needs, and chooses pods that Bookinfo has.
func TestNICManifest(t *testing.T) {
	all := decode(t)
	var ds *appsv1.DaemonSet
	for _, o := range all["nic.yaml"] {
		if d, ok := o.(*appsv1.DaemonSet); ok {
			ds = d
		}
	}
	require.NotNil(t, ds)
	spec := ds.Spec.Template.Spec
	require.True(t, spec.HostNetwork && spec.HostPID)
	require.True(t, *spec.Containers[0].SecurityContext.Privileged)
	args := spec.Containers[0].Args
	i := 0
	for i < len(args) && args[i] != "--pod-label" {
		i++
	}
	require.Less(t, i+1, len(args))
	key, value, _ := strings.Cut(args[i+1], "=")
	n := 0
	for _, o := range all["bookinfo.yaml"] {
		if pod, _ := workload(o); pod != nil && pod.Labels[key] == value {
			n++
		}
	}
	require.Equal(t, 3, n, "reviews v1, v2 and v3")
}
