package wechatpaytest

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// nonces remembers the nonces of the accepted timestamps, to reject replays. It
// keeps two generations, so that old ones are dropped all at once, and at least
// the latest maxNonces.
type nonces struct {
	sync.Mutex
	since            time.Time
	current, earlier map[string]nonceUse
}

const maxNonces = 1 << 18

type nonceUse struct {
	method string
	toSign [sha256.Size]byte
}

// use reports whether a request may use the nonce. An identical GET may use it
// again, because net/http resends one when a connection breaks.
func (n *nonces) use(now time.Time, nonce, method, toSign string) bool {
	use := nonceUse{method, sha256.Sum256([]byte(toSign))}
	n.Lock()
	defer n.Unlock()
	if n.current == nil || len(n.current) >= maxNonces || now.Sub(n.since).Abs() > 2*maxSkew {
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
