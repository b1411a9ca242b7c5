package kubernetes

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The types of Kubernetes' API are its schema: a field that they do not have, or
// that has another type, is refused.
func TestDaemonSetIsValid(t *testing.T) {
	text, err := os.ReadFile("daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.DaemonSet
	if err := yaml.UnmarshalStrict(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.APIVersion != appsv1.SchemeGroupVersion.String() || d.Kind != "DaemonSet" {
		t.Errorf("it is a %s of %s", d.Kind, d.APIVersion)
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			t.Errorf("its pods do not have the label %s=%s that it selects", key, value)
		}
	}
	if !d.Spec.Template.Spec.HostNetwork || len(d.Spec.Template.Spec.Containers) != 1 {
		t.Errorf("it is not one container in the host's network: %+v", d.Spec.Template.Spec)
	}
	checkPrivileges(t, d.Spec.Template.Spec.Containers[0].SecurityContext)
}

// checkPrivileges wants the first row of the table in ../README.md.
func checkPrivileges(t *testing.T, s *corev1.SecurityContext) {
	t.Helper()
	switch {
	case s == nil || s.RunAsUser == nil || s.AllowPrivilegeEscalation == nil || s.ReadOnlyRootFilesystem == nil || s.Capabilities == nil:
		t.Fatalf("not all is said: %+v", s)
	case *s.RunAsUser != 0:
		t.Errorf("user %d does not get the capability", *s.RunAsUser)
	case *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || s.Privileged != nil:
		t.Errorf("more than is needed: %+v", s)
	}
	if c := s.Capabilities; len(c.Drop) != 1 || c.Drop[0] != "ALL" || len(c.Add) != 1 || c.Add[0] != "NET_ADMIN" {
		t.Errorf("capabilities %+v, want NET_ADMIN alone", c)
	}
}
