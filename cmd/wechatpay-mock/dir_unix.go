//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// checkDir refuses a directory that another user owns or can write to: that user
// could replace the keys. A group is trusted if it has the number of its user,
// which is then its only member. It accepts a directory that does not exist.
func checkDir(dir string) error {
	for _, stat := range []func(string) (os.FileInfo, error){os.Lstat, os.Stat} { // a link, and its target
		info, err := stat(dir)
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		if int(owner.Uid) != os.Geteuid() {
			return fmt.Errorf("-dir %s belongs to another user (uid %d): use a directory of your own", dir, owner.Uid)
		}
		mode := info.Mode()
		others := mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && owner.Gid != owner.Uid
		if mode&os.ModeSymlink == 0 && others {
			return fmt.Errorf("-dir %s is writable by other users (mode %04o): run chmod 700 %[1]s", dir, mode.Perm())
		}
	}
	return nil
}
