package container

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// docker is Docker's Engine API, without a version in its paths: what is read of it
// has been there since 1.24.
type docker struct{ c *http.Client }

// answerMax bounds what a runtime says.
const answerMax = 64 << 20

func (d docker) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := d.c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Message string }
		_ = json.Unmarshal(body, &said)
		return fmt.Errorf("GET %s: %s %s", path, resp.Status, said.Message)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// ping reports whether it is this API.
func (d docker) ping(ctx context.Context) error { return d.get(ctx, "/_ping", nil) }

func (d docker) list(ctx context.Context) (all []Container, err error) {
	var said []struct {
		ID     string `json:"Id"`
		Names  []string
		State  string
		Labels map[string]string
	}
	if err := d.get(ctx, "/containers/json?all=1", &said); err != nil {
		return nil, err
	}
	for _, s := range said {
		c := Container{ID: s.ID, Labels: s.Labels}
		if len(s.Names) > 0 {
			c.Name = strings.TrimPrefix(s.Names[0], "/")
		}
		if s.State != "running" && s.State != "paused" {
			c.State = s.State
		}
		all = append(all, c)
	}
	return all, nil
}

func (d docker) inspect(ctx context.Context, c *Container) error {
	var said struct {
		State struct {
			Status string
			Pid    int
		}
		HostConfig struct{ NetworkMode string }
	}
	if err := d.get(ctx, "/containers/"+url.PathEscape(c.ID)+"/json", &said); err != nil {
		return err
	}
	c.Pid, c.Host = said.State.Pid, said.HostConfig.NetworkMode == "host"
	if c.Pid == 0 {
		c.State = said.State.Status
	}
	return nil
}
