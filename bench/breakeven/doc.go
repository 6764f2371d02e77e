// Package breakeven says where a proxy on the card loses against one on a host: the card's
// time for a request in the model, through exchanges that make it hard, over what a host's proxy
// was measured to add. Nothing measured is in here; it comes from a run's hop document.
package breakeven
