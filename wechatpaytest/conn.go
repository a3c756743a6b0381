package wechatpaytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
	"time"
)

// A conn is a connection of a client. If the client speaks HTTP/2, it changes
// the error code of stream resets: net/http always sends INTERNAL_ERROR.
type conn struct {
	net.Conn
	read  []byte      // the first bytes that the client sent, up to prefaceLen
	http2 atomic.Bool // set before the first write
	// resetting has an element from the moment a handler aborts its stream until
	// the reset is written, so that the next reset is that stream's.
	resetting chan struct{}
	code      atomic.Uint32 // of that reset

	header []byte // of the frame that is being written, as far as it is written
	left   int    // bytes of its payload that are not yet written
}

// The error codes of HTTP/2 that fit into the last byte of a RST_STREAM frame.
const (
	codeProtocolError = 1
	codeInternalError = 2
)

const (
	prefaceLen     = 4 // "PRI ", which is not an HTTP/1.1 method
	frameHeaderLen = 9 // length (3), type (1), flags (1), stream (4)
	frameReset     = 3 // RST_STREAM, whose payload is the error code
)

func newConn(inner net.Conn) *conn {
	return &conn{Conn: inner, resetting: make(chan struct{}, 1)}
}

type connKey struct{}

// connContext is the ConnContext hook of the http.Server.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if missing := prefaceLen - len(c.read); missing > 0 {
		c.read = append(c.read, p[:min(n, missing)]...)
		c.http2.Store(string(c.read) == "PRI ")
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.http2.Load() {
		p = c.rewrite(p)
	}
	return c.Conn.Write(p)
}

// rewrite returns the bytes to send. It does not change p.
func (c *conn) rewrite(p []byte) []byte {
	for i := 0; i < len(p); {
		if missing := frameHeaderLen - len(c.header); missing > 0 {
			n := min(missing, len(p)-i)
			c.header = append(c.header, p[i:i+n]...)
			i += n
			if len(c.header) == frameHeaderLen {
				c.left = int(c.header[0])<<16 | int(binary.BigEndian.Uint16(c.header[1:]))
			}
		}
		n := min(c.left, len(p)-i)
		c.left -= n
		i += n
		if len(c.header) < frameHeaderLen || c.left > 0 {
			continue
		}
		if c.header[3] == frameReset && p[i-1] == codeInternalError {
			p = bytes.Clone(p)
			p[i-1] = c.resetCode()
		}
		c.header = c.header[:0]
	}
	return p
}

// resetCode returns the error code of the reset that is being written.
func (c *conn) resetCode() byte {
	select {
	case <-c.resetting:
		return byte(c.code.Load())
	default:
		return codeInternalError
	}
}

// abortStream sets the error code of the reset that follows. It waits while
// another stream of the connection is being reset.
func (c *conn) abortStream(code uint32) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case c.resetting <- struct{}{}:
	case <-timer.C: // the client had reset that stream itself, so the server did not
	}
	c.code.Store(code)
}
