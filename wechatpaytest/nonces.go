package wechatpaytest

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// nonces remembers the nonces of the time window, so that no message passes
// twice. Two generations, so that forgetting is cheap.
type nonces struct {
	sync.Mutex
	since            time.Time
	current, earlier map[string]nonceUse
}

type nonceUse struct {
	method  string
	message [sha256.Size]byte
}

// take says whether the nonce may be used for the message. An identical GET may
// come again: Go's transport repeats it by itself when a connection breaks.
func (n *nonces) take(now time.Time, nonce, method, message string) bool {
	use := nonceUse{method, sha256.Sum256([]byte(message))}
	n.Lock()
	defer n.Unlock()
	if n.current == nil || now.Sub(n.since).Abs() > 2*maxSkew {
		n.since, n.earlier, n.current = now, n.current, map[string]nonceUse{}
	}
	for _, generation := range []map[string]nonceUse{n.current, n.earlier} {
		if earlier, used := generation[nonce]; used {
			return method == http.MethodGet && earlier == use
		}
	}
	n.current[nonce] = use
	return true
}
