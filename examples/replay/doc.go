// Package replay is a capture of one request, and the commands that send it
// through a pipeline.
package replay
