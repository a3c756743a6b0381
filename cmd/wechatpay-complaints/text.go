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

// beijing is the time zone of WeChat Pay's days and times.
var beijing = time.FixedZone("+08:00", 8*60*60)

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(beijing).Format("2006-01-02 15:04:05")
}

// clean makes a foreign text fit for a terminal: one line, and no character that
// moves the cursor, changes colours, or turns the direction of writing.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case playsWithTerminal(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s))
}

// playsWithTerminal holds for control characters, those of C1 too, and for
// invisible ones, such as those for text from right to left.
func playsWithTerminal(r rune) bool { return unicode.Is(unicode.C, r) }

// table is printed with its columns below one another, on a terminal that shows
// a Chinese character twice as wide as another.
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

// printJSON prints a value. JSON leaves some characters as they are that a
// terminal may obey: they are escaped, so that nothing is lost.
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
		case r == '\n' || r <= 0xFFFF && !playsWithTerminal(r):
			out.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		case playsWithTerminal(r):
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			out.WriteRune(r)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// yuan writes an amount in fen.
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

// parseAmount reads an amount of money. A bare 10 is refused: it could be yuan
// or fen.
func (l language) parseAmount(s string) (fen int64, err error) {
	digits := ""
	if m := inYuan.FindStringSubmatch(s); m != nil {
		digits = m[1] + m[2]
	} else if m := inFen.FindStringSubmatch(s); m != nil {
		digits = m[1]
	}
	if fen, err = strconv.ParseInt(digits, 10, 64); err != nil || fen == 0 {
		return 0, l.errorf(words{
			"%q 不是金额：以元为单位写两位小数，如 10.00；或者以分为单位，如 1000fen",
			"%q is no amount: write yuan with two decimals, such as 10.00, or fen, such as 1000fen"}, s)
	}
	return fen, nil
}

// maskPhone leaves of a phone number what its owner recognises.
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
