package wechatpaytest

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// listener is a net.Listener that can refuse connections for a while. It closes
// its port, so that dialing fails as if the host were down, and then listens on
// the same port again.
type listener struct {
	addr net.Addr // set by start

	mu       sync.Mutex
	changed  *sync.Cond
	inner    net.Listener // nil while refusing, and before start
	refusing bool
	timer    *time.Timer // ends refusing; nil: nothing does
	closed   bool
	conns    map[net.Conn]connState
}

// connState is a set of flags of an open connection.
type connState int

const (
	connIdle    connState = 1 << iota // it serves no request
	connClosing                       // it is closed as soon as it is idle
)

func newListener() *listener {
	l := &listener{conns: map[net.Conn]connState{}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// start makes l accept the connections of inner.
func (l *listener) start(inner net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr, l.inner = inner.Addr(), inner
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
		accepted, err := inner.Accept()
		if err == nil {
			return newConn(accepted), nil
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
	l.stopTimer()
	l.changed.Broadcast()
	if l.inner == nil {
		return nil
	}
	return l.inner.Close()
}

// refuse starts to refuse new connections, for d unless that is 0.
func (l *listener) refuse(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.addr == nil {
		return
	}
	l.stopTimer()
	if d > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(d, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.timer != timer {
				return
			}
			// If another program has the port, try again. A panic here would
			// end the test binary.
			if err := l.listen(); err != nil {
				timer.Reset(10 * time.Millisecond)
			}
		})
		l.timer = timer
	}
	if !l.refusing {
		l.refusing = true
		l.inner.Close()
		l.inner = nil
	}
}

// accept stops refusing connections. It panics if another program has the port.
func (l *listener) accept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listen(); err != nil {
		panic("wechatpaytest: another program took the server's port while it refused connections: " + err.Error())
	}
}

// listen listens on the port again. The caller holds mu.
func (l *listener) listen() error {
	if l.closed || !l.refusing {
		l.stopTimer()
		return nil
	}
	inner, err := net.Listen("tcp", l.addr.String())
	if err != nil {
		return err
	}
	l.stopTimer()
	l.inner, l.refusing = inner, false
	l.changed.Broadcast()
	return nil
}

// stopTimer stops the timer. The caller holds mu.
func (l *listener) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// connState tracks open connections. It is the ConnState hook of the http.Server.
func (l *listener) connState(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(l.conns, conn)
	case http.StateActive:
		l.conns[conn] &^= connIdle
	case http.StateNew, http.StateIdle:
		if l.conns[conn]&connClosing != 0 {
			conn.Close()
		}
		l.conns[conn] |= connIdle
	}
}

// closeIdle closes the idle connections, and the others when they become idle.
// The client has the response slightly before the server marks the connection
// as idle, and tests must not depend on that.
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
