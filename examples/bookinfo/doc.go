// Package bookinfo is Istio's Bookinfo sample written in Go: productpage,
// details, reviews and ratings in one binary, each a workload that behaves on
// the wire like the original.
//
// Paths, JSON, status codes, header fields with their order and spelling,
// environment variables, propagated headers, timeouts, retries, connection
// habits and the fault variants are the originals'. The HTML is our own with
// the same structure, ids and classes. The call order of /productpage is
// strictly serial: details, then reviews, and inside reviews ratings.
// productpage opens a connection for each call; reviews keeps them.
//
// # Deviations
//
//   - The external book service of details v2 is not there: it answers 501 and
//     says so. Nor are the databases of ratings v2, which answers as the original
//     does when its database is down (MongoDB 500, MySQL 200 with an error).
//   - A method that ratings never answers (HEAD, PUT, DELETE, OPTIONS, ...)
//     holds its connection for two minutes at most, then closes it.
//   - A response goes out in one write; gunicorn and WEBrick use two.
//   - productpage serves any number of requests at once; the original has eight
//     worker processes, each on one core at a time.
//   - /metrics has the application's counter only, no figures of a Python process.
//   - productpage follows no redirects and no http_proxy when it calls; Range and
//     double slashes inside a path are not treated specially.
//   - Environment variables that are set but empty count as not set.
//   - At most 100 stars are drawn; a request head is 64 KiB at most (16 in
//     ratings, as in Node) and a body 1 MiB; JSON nests 500 deep at most.
//   - Lone surrogates in JSON become U+FFFD.
//   - The texts of 404 pages of details and of redirects, Liberty's 500 pages
//     (here empty), and Liberty's answers to HTTP/1.0 are not the originals' bytes.
package bookinfo
