package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
)

const question, answer = "is anybody there?", "yes"

// exchange sends a question from blue to green and returns how long the answer took.
func exchange(l *lab.Lab) (took time.Duration, err error) {
	var ln net.Listener
	if err := l.Do("green", func() error {
		ln, err = net.Listen("tcp", net.JoinHostPort(l.IP("green"), "7000"))
		return err
	}); err != nil {
		return 0, err
	}
	defer ln.Close()
	served := make(chan error, 1)
	go func() { served <- reply(ln) }()

	err = l.Do("blue", func() error {
		began := time.Now()
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(conn, question); err != nil {
			return err
		}
		got, err := io.ReadAll(conn)
		took = time.Since(began)
		if err == nil && string(got) != answer {
			err = fmt.Errorf("green answered %q, want %q", got, answer)
		}
		return err
	})
	ln.Close()
	return took, errors.Join(err, <-served)
}

func reply(ln net.Listener) error {
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(question))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != question {
		return fmt.Errorf("blue asked %q, want %q", got, question)
	}
	_, err = io.WriteString(conn, answer)
	return err
}
