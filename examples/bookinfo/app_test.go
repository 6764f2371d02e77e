package bookinfo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tutorials count the filled stars by this; the empty ones must not match.
const fullStar = `glyphicon glyphicon-star`

// The whole application over loopback: details, reviews and stars are on the
// page, and nothing else is.
func TestPage(t *testing.T) {
	for _, tt := range []struct {
		reviews string
		stars   int
		color   string
	}{{"reviews-v1", 0, ""}, {"reviews-v2", 9, "black"}, {"reviews-v3", 9, "red"}} {
		t.Run(tt.reviews, func(t *testing.T) {
			t.Parallel()
			page := app(t, tt.reviews, Native)
			head, body := headBody(t, get(t, page, "/productpage?u=normal"))
			require.Equal(t, "HTTP/1.1 200 OK\nServer: gunicorn\nDate: D\nConnection: close\n"+
				"Content-Type: text/html; charset=utf-8\nContent-Length: "+itoa(len(body))+"\nVary: Cookie", undated(head))
			require.Contains(t, body, "<title>Simple Bookstore App</title>")
			require.Contains(t, body, "Book Details")
			require.Contains(t, body, ">123"+"4567890</td>")
			require.Contains(t, body, "PublisherA")
			require.Contains(t, body, "Book Reviews")
			require.Contains(t, body, "William Shakespeare's")
			require.Contains(t, body, review1)
			require.Contains(t, body, review2)
			require.Contains(t, body, "abcdefghij")
			require.NotContains(t, body, "on cluster")
			require.NotContains(t, body, "Error fetching")
			require.Equal(t, tt.stars, strings.Count(body, fullStar))
			if tt.color != "" {
				require.Equal(t, 2, strings.Count(body, "text-"+tt.color+"-500"))
			}
		})
	}
}
