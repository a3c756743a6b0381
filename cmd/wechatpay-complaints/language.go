package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// words are a text in the languages of the program. Both take the same
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

// usagef is an error of a command line that makes no sense.
func (l language) usagef(w words, args ...any) error { return usageError(l.of(w, args...)) }

func (l language) errorf(w words, args ...any) error {
	format := w.en
	if l == chinese {
		format = w.zh
	}
	return fmt.Errorf(format, args...)
}

// languageOf is that of -lang, or else the terminal's. It is looked for before
// the flags are read, since their usages are in it already.
func languageOf(args []string) language {
	for i, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if name != "-lang" && name != "--lang" {
			continue
		}
		if value == "" && i+1 < len(args) {
			value = args[i+1]
		}
		if l := language(value); l == chinese || l == english {
			return l
		}
	}
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "zh") {
		return chinese
	}
	return english
}

// langFlag declares -lang, which languageOf has read.
func (l language) langFlag(flags *flag.FlagSet) {
	flags.Func("lang", l.of(words{
		"显示`语言`：zh 或 en（默认按 LC_ALL、LC_MESSAGES、LANG）",
		"`language`: zh or en (default: as LC_ALL, LC_MESSAGES or LANG say)"}), func(s string) error {
		if s := language(s); s != chinese && s != english {
			return errors.New(l.of(words{"只能是 zh 或 en", "it is zh or en"}))
		}
		return nil
	})
}

// printFlags is flag.PrintDefaults without its English.
func printFlags(w io.Writer, flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  %s\n    \t%s\n", strings.TrimSpace("-"+f.Name+" "+name), usage)
	})
}

// flagErrors are the errors of package flag, whose texts are English.
var flagErrors = []struct {
	english *regexp.Regexp
	chinese string
}{
	{regexp.MustCompile(`^flag provided but not defined: `), "没有这个选项："},
	{regexp.MustCompile(`^flag needs an argument: `), "这个选项要带值："},
	{regexp.MustCompile(`^bad flag syntax: `), "选项写得不对："},
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?(-\S+): (?:parse error|value out of range)$`), "$2 的值 $1 不对"},
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?(-\S+): `), "$2 的值 $1 不对："},
}

func (l language) flagError(command string, err error) error {
	text := err.Error()
	if l == chinese {
		for _, e := range flagErrors {
			text = e.english.ReplaceAllString(text, e.chinese)
		}
	}
	return l.usagef(words{"%s：%s", "%s: %s"}, command, text)
}
