package wechatpaytest

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// listener can refuse connections for a while: it gives up its port, so that
// dialling fails as it does when a host is down, and takes the same port again
// afterwards.
type listener struct {
	addr net.Addr

	mu       sync.Mutex
	changed  *sync.Cond
	inner    net.Listener // nil while refusing
	refusing bool
	ends     *time.Timer // when refusing ends by itself, or nil
	closed   bool
	conns    map[net.Conn]connState
}

// connState is what is known of an open connection.
type connState int

const (
	connIdle    connState = 1 << iota // no request is on it
	connClosing                       // it is closed as soon as it is idle
)

func newListener(inner net.Listener) *listener {
	l := &listener{addr: inner.Addr(), inner: inner, conns: map[net.Conn]connState{}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		for l.refusing && !l.closed {
			l.changed.Wait()
		}
		inner := l.inner
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		conn, err := inner.Accept()
		if err == nil {
			return conn, nil
		}
		l.mu.Lock()
		replaced := l.refusing || l.inner != inner
		closed = l.closed
		l.mu.Unlock()
		if closed || !replaced {
			return nil, err
		}
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.forgetEnd()
	l.changed.Broadcast()
	if l.inner == nil {
		return nil
	}
	return l.inner.Close()
}

// refuse begins to refuse new connections, and ends after a while if that is not 0.
func (l *listener) refuse(while time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.forgetEnd()
	if while > 0 {
		var end *time.Timer
		end = time.AfterFunc(while, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.ends != end {
				return
			}
			if err := l.listen(); err != nil { // somebody has the port for a moment: a panic here would end the whole test binary
				end.Reset(10 * time.Millisecond)
			}
		})
		l.ends = end
	}
	if !l.refusing {
		l.refusing = true
		l.inner.Close()
		l.inner = nil
	}
}

// accept ends to refuse new connections.
func (l *listener) accept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listen(); err != nil {
		panic("wechatpaytest: the server's port was taken by another program while it refused connections: " + err.Error())
	}
}

// listen takes the port again. The caller holds mu.
func (l *listener) listen() error {
	if l.closed || !l.refusing {
		l.forgetEnd()
		return nil
	}
	inner, err := net.Listen("tcp", l.addr.String())
	if err != nil {
		return err
	}
	l.forgetEnd()
	l.inner, l.refusing = inner, false
	l.changed.Broadcast()
	return nil
}

// forgetEnd stops the timer. The caller holds mu.
func (l *listener) forgetEnd() {
	if l.ends != nil {
		l.ends.Stop()
		l.ends = nil
	}
}

// state keeps book of connections; net/http calls it for each change.
func (l *listener) state(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(l.conns, conn)
	case http.StateActive:
		l.conns[conn] = l.conns[conn] &^ connIdle
	case http.StateNew, http.StateIdle:
		if l.conns[conn]&connClosing != 0 {
			conn.Close()
		}
		l.conns[conn] |= connIdle
	}
}

// closeIdle closes the connections that no request is on, and dooms the others
// to be closed when theirs is answered: a client knows that it has its answer a
// little before the server knows that the connection is idle, and a test must
// not depend on that.
func (l *listener) closeIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn, state := range l.conns {
		if state&connIdle != 0 {
			conn.Close()
		}
		l.conns[conn] |= connClosing
	}
}
