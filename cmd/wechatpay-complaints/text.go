package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// beijing is the time zone of WeChat Pay's dates and times.
var beijing = time.FixedZone("+08:00", 8*60*60)

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(beijing).Format("2006-01-02 15:04:05")
}

// clean returns a foreign text as one line without control characters, for
// printing on a terminal.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case isControl(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s))
}

// isControl reports whether a terminal may interpret r: a C0 or C1 control
// character, or an invisible one, such as those that change the text direction.
func isControl(r rune) bool { return unicode.Is(unicode.C, r) }

// table is printed with aligned columns. Chinese characters count as two columns.
type table [][]string

func (t *table) row(cells ...string) { *t = append(*t, cells) }

func (t table) print(w io.Writer) error {
	var widths []int
	for _, cells := range t {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	var b strings.Builder
	for _, cells := range t {
		last := len(cells) - 1
		for i, cell := range cells[:last] {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-width(cell)+2))
		}
		b.WriteString(cells[last] + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func width(s string) (columns int) {
	for _, r := range s {
		columns++
		if unicode.Is(unicode.Han, r) || r >= 0x3000 && r <= 0x303F || r >= 0xFF00 && r <= 0xFF60 {
			columns++
		}
	}
	return columns
}

// printJSON prints a value as JSON. It escapes the control characters that
// encoding/json leaves as they are.
func printJSON(w io.Writer, v any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || r <= 0xFFFF && !isControl(r):
			out.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		case isControl(r):
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			out.WriteRune(r)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// yuan formats an amount in fen.
func (l language) yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return l.of(words{"%s%d.%02d 元", "%s%d.%02d yuan"}, sign, fen/100, fen%100)
}

var (
	inYuan = regexp.MustCompile(`^([0-9]{1,12})\.([0-9]{2})$`)
	inFen  = regexp.MustCompile(`^([0-9]{1,14})fen$`)
)

// parseAmount parses an amount of money. It rejects a bare 10, which could be
// yuan or fen.
func (l language) parseAmount(s string) (fen int64, err error) {
	digits := ""
	if m := inYuan.FindStringSubmatch(s); m != nil {
		digits = m[1] + m[2]
	} else if m := inFen.FindStringSubmatch(s); m != nil {
		digits = m[1]
	}
	if fen, err = strconv.ParseInt(digits, 10, 64); err != nil || fen == 0 {
		return 0, l.errorf(words{
			"应以元为单位并保留两位小数（如 10.00），或以分为单位（如 1000fen）",
			"use yuan with two decimals (10.00) or fen (1000fen)"})
	}
	return fen, nil
}

// maskPhone hides all but the first 3 and last 4 digits of a phone number, and
// all digits of a short one.
func maskPhone(phone string) string {
	shown := []rune(phone)
	from, to := 3, len(shown)-4
	if len(shown) < 11 {
		from, to = 0, len(shown)
	}
	for i := from; i < to; i++ {
		shown[i] = '*'
	}
	return string(shown)
}
