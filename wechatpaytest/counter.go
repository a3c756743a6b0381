package wechatpaytest

import "crypto/sha256"

// A counter counts the requests of each key. Like nonces, it keeps two
// generations, so that it never has more than twice maxCounted keys. It restarts
// at 0 for a key that was not used for that long.
type counter struct{ current, earlier map[[sha256.Size]byte]uint64 }

const maxCounted = 1 << 17

// next returns how often it was called for the key before.
func (c *counter) next(key faultKey) uint64 {
	sum := sha256.Sum256([]byte(key.endpoint + "\x00" + key.param)) // a path may be long
	n, known := c.current[sum]
	if !known {
		n = c.earlier[sum]
	}
	if c.current == nil || !known && len(c.current) >= maxCounted {
		c.earlier, c.current = c.current, map[[sha256.Size]byte]uint64{}
	}
	c.current[sum] = n + 1
	return n
}
