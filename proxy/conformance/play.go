package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// play holds the conversation with the proxy at addr, whose upstreams are ports,
// and returns what each step sees.
func (c *Case) play(n *Network, addr string, ports []port) []string {
	up := newServer(ports)
	clients := map[string]*peer{}
	defer func() {
		for _, c := range clients {
			c.Close()
		}
		time.Sleep(50 * time.Millisecond) // clients leave first, also where somebody between is slow
		up.close()
	}()
	seen := make([]string, len(c.steps))
	for i := range c.steps {
		s := &c.steps[i]
		w := strings.Fields(s.cmd)
		switch {
		case w[0] == "config", w[0] == "log", w[0] == "stats":
		case w[0] == "ask":
			seen[i] = asks(n, addr, up, w[1:], s.text)
		case w[0] == "upstream":
			seen[i] = up.do(w[1:], s)
		case w[0] == "wait":
			d, err := time.ParseDuration(w[1])
			if err != nil {
				seen[i] = err.Error() + "\n"
			}
			time.Sleep(d)
		case strings.HasPrefix(w[0], "client"):
			if clients[w[0]] == nil || w[1] == "open" {
				conn, err := n.Dial(addr)
				if err != nil {
					seen[i] = err.Error() + "\n"
					return seen
				}
				clients[w[0]] = newPeer(conn, 0)
			}
			seen[i] = clients[w[0]].do(w[1:], s, true)
		default:
			seen[i] = "unknown step\n"
		}
	}
	return seen
}

// asks sends requests one after the other, each on a connection of its own, to
// upstreams that answer by themselves: 200 with the cluster's name, after the
// headers that lines "x-answer: NAME: VALUE" of the request ask for. A request is
// a line
//
//	METHOD TARGET [| NAME: VALUE]...
//
// or a quoted string; without a host it has x.example. Lines that begin with +
// are headers with which each request is sent in turn. What is seen is, a line a
// request, status and body; after "ask answer" the answer's head and body; after
// "ask seen" the request that the upstream got, but for what is always so.
func asks(n *Network, addr string, up *server, how, lines []string) string {
	up.echo()
	var requests, with []string
	for _, l := range lines {
		if f, ok := strings.CutPrefix(l, "+"); ok {
			with = append(with, strings.TrimSpace(f))
		} else {
			requests = append(requests, l)
		}
	}
	if len(with) == 0 {
		with = []string{""}
	}
	var out strings.Builder
	for _, r := range requests {
		for _, f := range with {
			line := r
			if f != "" {
				line += " | " + f
			}
			fmt.Fprintf(&out, "%s => %s\n", line, askOne(n, addr, up, strings.Join(how, " "), line))
		}
	}
	return out.String()
}

func askOne(n *Network, addr string, up *server, how, line string) string {
	conn, err := n.Dial(addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	text, err := strconv.Unquote(line)
	if err != nil {
		parts := strings.Split(line, " | ")
		head := parts[0] + " HTTP/1.1\r\n"
		if !strings.Contains(strings.ToLower(line), " | host:") {
			head += "host: x.example\r\n"
		}
		for _, f := range parts[1:] {
			head += f + "\r\n"
		}
		text = head + "\r\n"
	}
	p := newPeer(conn, 0)
	p.SetDeadline(time.Now().Add(patience))
	if _, err := p.Write([]byte(text)); err != nil {
		return "write failed"
	}
	got := strings.Split(strings.TrimSuffix(p.message(true, strings.HasPrefix(text, "HEAD ")), "\n"), "\n")
	head, saw := up.saw()
	answer := got
	if !strings.Contains(how, "answer") {
		answer = []string{strings.TrimPrefix(got[0], "HTTP/1.1 ")}
		if i := strings.IndexByte(answer[0], ' '); i > 0 {
			answer[0] = answer[0][:i]
		}
		if last := got[len(got)-1]; len(got) > 1 && strings.HasPrefix(last, `"`) {
			answer = append(answer, last)
		}
	}
	if saw && strings.Contains(how, "seen") {
		answer = append(append(answer, "seen"), usual.Replace(head))
	}
	return strings.Join(answer, " | ")
}

// usual is what every request upstream has.
var usual = strings.NewReplacer(" HTTP/1.1 | host: x.example", "", " | x-forwarded-proto: http | ", " | ", " | x-request-id: UUID", "")
