// Package probe finds out what this host lets us do: which links can be opened
// and which namespaces made. Each probe tries the thing itself, in a throwaway
// form, instead of reading a version number.
package probe

// Finding is the answer to one question.
type Finding struct {
	Name string `json:"name"`           // "AF_XDP", "TAP", ...
	OK   bool   `json:"ok"`             // it works here
	Why  string `json:"why,omitempty"`  // the cause, where it does not
	Next string `json:"next,omitempty"` // what to do about it
	For  string `json:"for"`            // what needs it
}
