package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// words are a text in the languages of the doctor. Both take the same
// arguments.
type words struct{ zh, en string }

type language string

const (
	chinese language = "zh"
	english language = "en"
)

func (l language) of(w words, args ...any) string {
	format := w.en
	if l == chinese {
		format = w.zh
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// languageFlag declares -lang, whose default is the terminal's language.
func languageFlag(flags *flag.FlagSet) *language {
	l := english
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "zh") {
		l = chinese
	}
	flags.Func("lang", "`language`: zh or en (default: as LC_ALL, LC_MESSAGES or LANG say)", func(s string) error {
		l = language(s)
		if l != chinese && l != english {
			return errors.New("it is zh or en")
		}
		return nil
	})
	return &l
}
