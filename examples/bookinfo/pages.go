package bookinfo

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
)

//go:embed templates
var templates embed.FS

const (
	bookTitle       = "The Comedy of Errors"
	bookDescription = `<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: ` +
		`The Comedy of Errors is one of <b>William Shakespeare's</b> early plays. It is his shortest and one of his ` +
		`most farcical comedies, with a major part of the humour coming from slapstick and mistaken identity, ` +
		`in addition to puns and word play.`
)

// starsMax bounds what one review may draw. The original draws whatever number
// it is told, and so may be told to fill its memory.
const starsMax = 100

// products is the catalogue as the API shows it: one book.
func products() []byte {
	book := &object{vals: make(map[string]any)}
	book.set("id", json.Number("0"))
	book.set("title", bookTitle)
	book.set("descriptionHtml", bookDescription)
	b, err := appendPython(nil, []any{book})
	if err != nil {
		panic(err) // a constant of ours
	}
	return b
}

// pages renders the HTML.
type pages struct{ t *template.Template }

func newPages() *pages { return &pages{template.Must(template.ParseFS(templates, "templates/*.html"))} }

// serviceNode is one box of the index page's table.
type serviceNode struct {
	Name, Endpoint string
	Children       []serviceNode
}

func (p *productpage) index() response {
	node := func(u upstream, endpoint string, children ...serviceNode) serviceNode {
		return serviceNode{u.url(), endpoint, children}
	}
	details := node(p.details, "details")
	reviews := node(p.reviews, "reviews", node(p.ratings, "ratings"))
	// The original gives the root the address of details.
	return pageReply(textHTML, p.pages.render("index.html", node(p.details, "details", details, reviews)))
}

// frontData is what /productpage shows.
type frontData struct {
	User, Title string
	Description template.HTML
	Details     section
	Reviews     section
	Book        map[string]string // by template name
	Podname     string
	Cluster     string
	OnCluster   bool
	Posts       []post
}

// section is one of the two parts that may fail.
type section struct {
	OK    bool
	Error string
}

type post struct {
	Reviewer, Text string
	Rated          bool // stars is a number other than 0
	Full, Empty    []struct{}
	Color          string
	Error          string
}

func (p *pages) front(user string, details, reviews answer) ([]byte, error) {
	d := frontData{
		User: user, Title: bookTitle, Description: bookDescription,
		Details: newSection(details), Reviews: newSection(reviews),
		Book: make(map[string]string),
	}
	for name, key := range map[string]string{
		"ISBN10": "ISBN-10", "Publisher": "publisher", "Pages": "pages", "Type": "type", "Language": "language",
	} {
		d.Book[name] = shown(member(details.value, key))
	}
	if d.Reviews.OK {
		v := reviews.value
		d.Podname, d.Cluster = shown(member(v, "podname")), shown(member(v, "clustername"))
		d.OnCluster = d.Cluster != "null"
		list, ok := member(v, "reviews").([]any)
		if !ok && member(v, "reviews") != nil {
			return nil, errors.New(`"reviews" is not a list`)
		}
		for _, r := range list {
			post, err := newPost(r)
			if err != nil {
				return nil, err
			}
			d.Posts = append(d.Posts, post)
		}
	}
	return p.render("productpage.html", d), nil
}

func newSection(a answer) section {
	return section{a.status == http.StatusOK, shown(member(a.value, "error"))}
}

func newPost(v any) (post, error) {
	rating := member(v, "rating")
	r := post{
		Reviewer: shown(member(v, "reviewer")), Text: shown(member(v, "text")),
		Color: shown(member(rating, "color")), Error: shown(member(rating, "error")),
	}
	given := member(rating, "stars")
	switch given {
	case nil, "", false, json.Number("0"):
		return r, nil
	}
	n, ok := given.(json.Number)
	stars, err := strconv.Atoi(n.String())
	if !ok || err != nil {
		return r, fmt.Errorf("%q stars", shown(given))
	}
	r.Rated, r.Error = true, ""
	r.Full = make([]struct{}, min(max(stars, 0), starsMax))
	r.Empty = make([]struct{}, min(max(5-stars, 0), starsMax))
	return r, nil
}

// shown is a JSON value as a Jinja template prints it.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return pick(v, "True", "False")
	}
	b, err := appendPython(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

func (p *pages) render(name string, data any) []byte {
	var b bytes.Buffer
	if err := p.t.ExecuteTemplate(&b, name, data); err != nil {
		panic("bookinfo: " + name + ": " + err.Error()) // templates and data are ours
	}
	return b.Bytes()
}
