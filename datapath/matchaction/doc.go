// Package matchaction holds match-action tables: a packet's fields select an
// entry, and the entry's actions say what becomes of the packet. Keys and
// actions are data.
//
//	t, err := matchaction.New(matchaction.Config{
//		Name:     "acl",
//		Key:      []matchaction.KeyField{{datapath.FieldProto, matchaction.Ternary}, {datapath.FieldDstPort, matchaction.Ternary}},
//		Capacity: 1024,
//	})
//	err = t.Add(matchaction.Entry{
//		Match:   []matchaction.Match{matchaction.Exactly(datapath.Uint(6)), matchaction.Exactly(datapath.Uint(23))},
//		Actions: []matchaction.Action{matchaction.Count("telnet"), matchaction.Drop()},
//	})
//
// All three kinds are one hash table, keyed by the masked key and the mask:
//
//	exact    one mask: one probe
//	LPM      one mask a prefix length in use: the longest that hits wins
//	ternary  one mask a pattern in use (tuple space search): the highest
//	         priority wins; among equals the mask that was in use first
//
// An IPv4 prefix is one of mapped addresses (Prefix4) and never meets an IPv6
// packet; an IPv6 prefix, even ::/0, never meets an IPv4 packet. A field of a
// header that a packet does not have is zero, and matches as zero.
//
// A table that learns (Config.MaxAge, Learn) forgets what has not been learned
// again for that long. Its static entries, made by Add, stay.
package matchaction
