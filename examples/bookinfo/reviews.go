package bookinfo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long reviews waits for ratings to connect and between two reads. With
// black stars productpage gives up first: that is Istio's fault-injection task.
const (
	ratingsWaitBlack = 10 * time.Second
	ratingsWaitOther = 2500 * time.Millisecond
)

const (
	review1 = "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!"
	review2 = "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare."
)

// reviews answers with two reviews, with stars when ratings are enabled.
type reviews struct {
	burn             func(time.Duration)
	log              *log.Logger
	rated            bool   // ENABLE_RATINGS
	color            string // STAR_COLOR
	podname, cluster string // HOSTNAME, CLUSTER_NAME
	ratings          upstream
}

func newReviews(e env, burn func(time.Duration), l *log.Logger) (*reviews, error) {
	a, err := e.upstream("ratings")
	if err != nil {
		return nil, err
	}
	s := &reviews{
		burn: burn, log: l,
		rated:   strings.EqualFold(e.get("ENABLE_RATINGS", ""), "true"),
		color:   e.get("STAR_COLOR", "black"),
		podname: e.get("HOSTNAME", "null"), cluster: e.get("CLUSTER_NAME", "null"),
		ratings: upstream{authority: a, timeout: ratingsWaitOther, pool: &pool{idle: poolIdle}},
	}
	if s.color == "black" {
		s.ratings.timeout = ratingsWaitBlack
	}
	return s, nil
}

func (s *reviews) waits(d time.Duration) { s.ratings.timeout = d }

func (s *reviews) handle(ctx context.Context, r *http.Request) response {
	s.burn(burnReviews)
	id, ok := reviewID(r.URL.Path)
	health := strings.TrimSuffix(r.URL.Path, "/") == "/health"
	switch {
	case !ok && !health:
		return response{status: http.StatusNotFound, fields: []field{{"Allow", "OPTIONS"}}, close: true}
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return response{status: http.StatusMethodNotAllowed, fields: []field{{"Allow", "GET,HEAD,OPTIONS"}}, close: true}
	case health:
		return jsonReply(http.StatusOK, `{"status": "Reviews is healthy"}`)
	}
	stars := [2]int32{-1, -1}
	if s.rated {
		s.burn(burnReviewsCall)
		var err error
		if stars, err = s.stars(ctx, id, r.Header); err != nil {
			s.log.Printf("ratings answered nonsense: %v", err)
			return response{status: http.StatusInternalServerError, close: true}
		}
	}
	// Spacing is part of what clients see: the original joins strings.
	return jsonReply(http.StatusOK, fmt.Sprintf(
		`{"id": "%d","podname": "%s","clustername": "%s","reviews": [`+
			`{  "reviewer": "Reviewer1",  "text": "%s"%s},{  "reviewer": "Reviewer2",  "text": "%s"%s}]}`,
		id, s.podname, s.cluster, review1, s.rating(stars[0]), review2, s.rating(stars[1])))
}

func (s *reviews) rating(stars int32) string {
	switch {
	case !s.rated:
		return ""
	case stars == -1:
		return `, "rating": {"error": "Ratings service is currently unavailable"}`
	}
	return fmt.Sprintf(`, "rating": {"stars": %d, "color": "%s"}`, stars, s.color)
}

// stars asks ratings. A failed call, or an answer other than 200, leaves both
// at -1; an answer 200 that is not what ratings sends is an error.
func (s *reviews) stars(ctx context.Context, id int32, incoming http.Header) ([2]int32, error) {
	stars := [2]int32{-1, -1}
	r, err := s.ratings.get(ctx, s.request(id, incoming))
	if err != nil {
		s.log.Printf("ratings: %v", err)
		return stars, nil
	}
	if r.status != http.StatusOK {
		s.log.Printf("ratings: status %d", r.status)
		return stars, nil
	}
	v, err := parseJSON(r.body)
	if err != nil {
		return stars, err
	}
	o, ok := v.(*object)
	if !ok {
		return stars, errors.New("not an object")
	}
	given, ok := o.vals["ratings"]
	if !ok {
		return stars, nil
	}
	list, ok := given.(*object)
	if !ok {
		return stars, errors.New(`"ratings" is not an object`)
	}
	for i, key := range [2]string{"Reviewer1", "Reviewer2"} {
		v, ok := list.vals[key]
		if !ok {
			continue
		}
		n, ok := v.(json.Number)
		if !ok {
			return stars, fmt.Errorf("%q is not a number", key)
		}
		stars[i] = javaInt(n)
	}
	return stars, nil
}

// request writes the head as CXF over HttpURLConnection does.
func (s *reviews) request(id int32, incoming http.Header) []byte {
	b := append([]byte("GET /ratings/"), strconv.Itoa(int(id))...)
	b = append(b, " HTTP/1.1\r\n"...)
	b = appendField(b, "Accept", "application/json")
	fields := forward(incoming, reviewsHeaders())
	if _, ok := incoming["User-Agent"]; !ok {
		fields = append(fields, field{"User-Agent", "Apache-CXF/3.1.18"})
	}
	b = appendFields(b, fields)
	b = appendField(b, "Cache-Control", "no-cache")
	b = appendField(b, "Pragma", "no-cache")
	b = appendField(b, "Host", s.ratings.header())
	b = appendField(b, "Connection", "keep-alive")
	return append(b, "\r\n"...)
}

// reviewID reads /reviews/ID, ID being a Java int.
func reviewID(path string) (int32, bool) {
	id, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/reviews/")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(id, 10, 32)
	return int32(n), err == nil
}

// javaInt is JsonNumber.intValue: fractions are cut off, what is too large
// keeps its low 32 bits.
func javaInt(n json.Number) int32 {
	if i, err := n.Int64(); err == nil {
		return int32(i)
	}
	f, err := n.Float64()
	if err != nil || f >= 1<<63 || f <= -1<<63 {
		return 0 // low bits of a number beyond 2^63 are not worth a big.Int
	}
	return int32(int64(f))
}
