//go:build ignore

// Command limits checks the length of functions and lines in the packages of
// the given folders, without their tests. It prints each violation as
// file:line, and exits with status 1 if there is one.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	maxLines   = 60  // of a function, from func to its closing brace
	maxColumns = 120 // of a line; a tab counts as 4
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: go run .ci/limits.go DIR...")
	}
	violations := 0
	for _, dir := range os.Args[1:] {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			log.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			violations += checkLines(name) + checkFunctions(name)
		}
	}
	if violations > 0 {
		os.Exit(1)
	}
}

// checkLines prints the lines of a file that are too long, and returns their
// number.
func checkLines(name string) (violations int) {
	content, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	for i, line := range strings.Split(string(content), "\n") {
		columns := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
		if columns > maxColumns {
			fmt.Printf("%s:%d: line has %d columns, limit is %d\n", name, i+1, columns, maxColumns)
			violations++
		}
	}
	return violations
}

// checkFunctions prints the functions of a file that are too long, and returns
// their number.
func checkFunctions(name string) (violations int) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	if err != nil {
		log.Fatal(err)
	}
	for _, decl := range file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := fset.Position(function.Pos()).Line
		lines := fset.Position(function.End()).Line - start + 1
		if lines > maxLines {
			fmt.Printf("%s:%d: function %s has %d lines, limit is %d\n", name, start, function.Name.Name, lines, maxLines)
			violations++
		}
	}
	return violations
}
