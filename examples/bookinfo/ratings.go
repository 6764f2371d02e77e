package bookinfo

import (
	"context"
	"io"
	"log"
	"math"
	"math/big"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	delayedBy        = 7 * time.Second  // v-delayed
	unavailableEvery = time.Minute      // v-unavailable turns over
	unhealthyEvery   = 15 * time.Minute // v-unhealthy turns over
)

// ratings answers with two ratings, or with what was posted for an id.
type ratings struct {
	burn    func(time.Duration)
	version string // SERVICE_VERSION
	start   time.Time
	now     func() time.Time
	random  func() float64 // [0,1)
	sleep   func(context.Context, time.Duration)
	mysql   bool // of v2; otherwise MongoDB

	mu     sync.Mutex
	posted map[string][]byte // by id, JSON
}

func newRatings(e env, burn func(time.Duration), l *log.Logger) *ratings {
	s := &ratings{
		burn: burn, version: e.get("SERVICE_VERSION", "v1"), start: time.Now(), now: time.Now,
		random: rand.Float64, sleep: sleep, posted: make(map[string][]byte),
	}
	if s.version == "v2" {
		s.mysql = e.get("DB_TYPE", "") == "mysql"
		l.Print("ratings v2 needs a database, which is not supported: /ratings answers as the original does when its database is down")
	}
	return s
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *ratings) handle(ctx context.Context, r *http.Request) response {
	s.burn(burnRatings)
	path, target := rawTarget(r)
	rated := strings.HasPrefix(path, "/ratings/")
	switch {
	case r.Method == http.MethodGet && rated:
		return s.get(ctx, target)
	case r.Method == http.MethodGet && path == "/health":
		if s.turned(unhealthyEvery, "v-unhealthy") {
			return nodeReply(http.StatusInternalServerError, `{"status":"Ratings is not healthy"}`)
		}
		return nodeReply(http.StatusOK, `{"status":"Ratings is healthy"}`)
	case r.Method == http.MethodPost && rated:
		return s.post(target, r.Body)
	case r.Method == http.MethodGet || r.Method == http.MethodPost:
		return response{status: http.StatusNotFound}
	}
	return response{hang: true} // the original's dispatcher throws, and nobody answers
}

func (s *ratings) get(ctx context.Context, target string) response {
	id, ok := productID(target)
	if !ok {
		return badID()
	}
	switch s.version {
	case "v2":
		return s.noDatabase()
	case "v-faulty":
		if s.random() <= 0.5 {
			return unavailable()
		}
	case "v-delayed":
		if s.random() <= 0.5 {
			s.sleep(ctx, delayedBy)
		}
	case "v-unavailable":
		if s.turned(unavailableEvery, s.version) {
			return unavailable()
		}
	case "v-unhealthy":
		if s.turned(unhealthyEvery, s.version) {
			return unavailable()
		}
	}
	return nodeReply(http.StatusOK, `{"id":`+id+`,"ratings":`+s.rating(id)+`}`)
}

func (s *ratings) post(target string, body io.Reader) response {
	id, ok := productID(target)
	if !ok {
		return badID()
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return response{status: http.StatusRequestEntityTooLarge, close: true}
	}
	v, err := parseJSON(data)
	if err != nil {
		return nodeReply(http.StatusBadRequest, `{"error":"please provide valid ratings JSON"}`)
	}
	if s.version == "v2" {
		return nodeReply(http.StatusNotImplemented, `{"error":"Post not implemented for database backed ratings"}`)
	}
	s.mu.Lock()
	s.posted[id] = appendJS(nil, v)
	s.mu.Unlock()
	return nodeReply(http.StatusOK, `{"id":`+id+`,"ratings":`+s.rating(id)+`}`)
}

func (s *ratings) rating(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.posted[id]; ok {
		return string(p)
	}
	return `{"Reviewer1":5,"Reviewer2":4}`
}

// turned reports whether a version that turns over every so often is in its
// bad half. The first half is good.
func (s *ratings) turned(every time.Duration, version string) bool {
	return s.version == version && s.now().Sub(s.start)/every%2 == 1
}

func nodeReply(status int, body string) response {
	return response{status: status, fields: []field{{"Content-type", "application/json"}}, body: []byte(body)}
}

func badID() response {
	return nodeReply(http.StatusBadRequest, `{"error":"please provide numeric product ID"}`)
}

func unavailable() response {
	return nodeReply(http.StatusServiceUnavailable, `{"error":"Service unavailable"}`)
}

// noDatabase is the original's answer when its database is down: MySQL's is a
// success.
func (s *ratings) noDatabase() response {
	status := http.StatusInternalServerError
	if s.mysql {
		status = http.StatusOK
	}
	return nodeReply(status, `{"error":"could not connect to ratings database"}`)
}

// productID is parseInt of what follows the last slash of the target, its
// query included, written as JavaScript writes numbers.
func productID(target string) (string, bool) {
	s := strings.TrimLeft(target[strings.LastIndexByte(target, '/')+1:], " \t\n\v\f\r")
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	f, ok := 0.0, false
	if len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x' {
		var n *big.Int
		if n, ok = new(big.Int).SetString(prefixOf(s[2:], "0123456789abcdefABCDEF"), 16); ok {
			f, _ = new(big.Float).SetInt(n).Float64()
		}
	} else if digits := prefixOf(s, "0123456789"); digits != "" {
		f, _ = strconv.ParseFloat(digits, 64) // out of range is +Inf, as in JavaScript
		ok = true
	}
	if !ok {
		return "", false
	}
	if neg {
		f = math.Copysign(f, -1)
	}
	return jsNumber(f), true
}

func prefixOf(s, set string) string {
	return s[:len(s)-len(strings.TrimLeft(s, set))]
}
